// Requests over HTTP to change the cluster: POST /members/add, /members/remove, /members/remove_dead, /members/cancel,
// /members/rebalance and /settings, with a JSON object. Any node takes them.
#pragma once

#include "gateway/http.h"
#include "node/node.h"

namespace asterism {

enum class MemberAction : uint8_t { add, remove, remove_dead, cancel, rebalance };
const char* to_string(MemberAction action);

/// add: {"id", "name", "address", "rpc", "cql", "http", "datacenter", "rack"} and, where it takes the place of another
/// node, {"replaces": name}. rebalance: {}. The others: {"name"}. Answers 200 with {"ok": true} once the change has
/// begun; 400 or 409 with a sentence where it is refused; 503 where the metadata log has no leader.
Task<HttpResponse> change_members(Node& node, Executor& executor, MemberAction action, HttpRequest request);

/// GET /balance: {"ring", "unevenness", "unevenness_after", "load_mean", "load_matters", "load_excess",
/// "load_excess_after", "nodes": [{"name", "share", "share_after", "load_share", "load_share_after", "tokens_moved"}],
/// "steps": names}. `ring` differs where tokens do. A share is what the node stores, or does, beside the mean of its
/// datacenter; after: as if all steps were carried out. The mean load is in reads of a small row a second by node, 0
/// where it is not known.
Task<HttpResponse> balance_page(Node& node, Executor& executor);

/// {"name", "value"}, both strings. Answers likewise.
Task<HttpResponse> change_setting(Node& node, Executor& executor, HttpRequest request);

/// The node of a request to add one; nothing where its settings make no sense.
std::optional<NodeInfo> read_joining_node(const boost::json::object& object);

}  // namespace asterism
