// GET /shards: where every shard lies and where it moves, page by page.
#pragma once

#include "gateway/http_message.h"
#include "node/node.h"

namespace asterism {

/// Shards of one answer; more are asked for with the `next` of the answer before.
inline constexpr size_t shards_per_page = 1000;

/// {"applied": index of the metadata log, "total": shards in all, "nodes": [{"id", "name"}], "shards": [{"id",
/// "keyspace", "after", "to", "replicas", "epoch", "mode"}], "next": id or null}, ascending by id. A shard that moves
/// has "move": {"target", "caught_up", "settling"} too. Nodes are ids; tokens and epochs are texts, because a number of
/// JSON may hold 53 bits only. Parameters: `keyspace`, and `after`, an id that the page starts behind. 400 where
/// `after` is no number, 404 where there is no such keyspace.
HttpResponse shards_page(Node& node, const HttpRequest& request);

}  // namespace asterism
