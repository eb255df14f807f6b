// How a node gets ready to be stopped without any request failing, and how others take notice.
#include "node/node_parts.h"

#include "node/node_rpc.h"

namespace asterism {

constexpr Duration steady_least = 5s;      // by then drivers are back on a node that came back
constexpr Duration steady_patience = 60s;  // for that
constexpr Duration down_patience = 4s;     // for a node that is down to come back
constexpr Duration ask_limit = 2s;
constexpr Duration announcing = 500ms;     // in which clients that listen to events go elsewhere
constexpr Duration finish_patience = 12s;  // beyond what any request may take
constexpr Duration last_words = 200ms;     // in which clients read the last answers
constexpr Duration hand_over_patience = 5s;

namespace {

constexpr uint8_t node_goes = 0, node_serves = 1;

}  // namespace

void Node::Parts::handle_departures() {
  liveness->on_change([this](NodeId, bool) { steady_since = ports.executor.now(); });
  rpc->handle(rpc_method::node_steady, [this](RpcRequest) -> Task<Result<Bytes>> {
    Bytes answer;
    ByteWriter(answer).u64_le(static_cast<uint64_t>(steady_for() / 1ms));
    co_return answer;
  });
  rpc->handle(rpc_method::node_departure, [this](RpcRequest request) -> Task<Result<Bytes>> {
    if (request.payload.size() != 1) co_return fail(ErrorCode::corrupt, "malformed news of a departure");
    if (faces) faces->announce(request.from, request.payload[0] == node_serves);
    co_return Bytes{};
  });
}

/// For how long this node has seen all members up.
Duration Node::Parts::steady_for() const {
  const auto up = [&](const auto& entry) { return liveness->up(entry.first); };
  if (!std::ranges::all_of(cluster.nodes(), up)) return Duration{0};
  return ports.executor.now() - std::max(steady_since, started);
}

/// A member that is down, or was until just now, for this node or another one.
Task<Node::Parts::Unsteady> Node::Parts::find_unsteady() {
  std::vector<std::pair<NodeId, std::string>> members;
  for (const auto& [id, node] : cluster.nodes()) members.emplace_back(id, node.name);
  Unsteady found;
  for (const auto& [id, name] : members) {
    if (id == config.id) continue;
    if (!liveness->up(id)) co_return Unsteady{name, true};
    auto steady = co_await rpc->call(id, rpc_method::node_steady, {}, ports.executor.now() + ask_limit);
    ByteReader in(steady ? BytesView(*steady) : BytesView());
    const uint64_t ms = in.u64_le();
    if (in.failed() || ms < static_cast<uint64_t>(steady_least / 1ms)) found.name = name;
  }
  co_return found;
}

Task<void> Node::Parts::tell_departure(uint8_t what) {
  std::vector<NodeId> others;
  for (const auto& [id, node] : cluster.nodes())
    if (id != config.id && liveness->up(id)) others.push_back(id);
  for (NodeId other : others)
    (void)co_await rpc->call(other, rpc_method::node_departure, Bytes(1, static_cast<char>(what)),
                             ports.executor.now() + ask_limit);
}

Task<void> Node::Parts::tell_serving() { return tell_departure(node_serves); }

Task<Status> Node::Parts::wait_for_steady() {
  const Instant began = ports.executor.now();
  Instant all_up = began;
  while (true) {
    const Unsteady unsteady = co_await find_unsteady();
    if (unsteady.name.empty()) co_return Status{};
    const Instant now = ports.executor.now();
    if (!unsteady.down) all_up = now;
    if (now - all_up >= down_patience || now - began >= steady_patience)
      co_return fail(
          ErrorCode::unavailable,
          "{} is down or comes and goes: without {} as well, requests could fail. Say --force where they may",
          unsteady.name, config.name);
    co_await sleep_for(100ms);
  }
}

Task<void> Node::Parts::drain(bool force) {
  drain_error.reset();
  if (!force) {
    if (Status steady = co_await wait_for_steady(); !steady) {
      drain_error = steady.error().message;
      log.warning("is not drained: {}", *drain_error);
      drain_phase = DrainPhase::none;
      co_return;
    }
  }
  log.info("serves no new clients: it is drained");
  drain_phase = DrainPhase::draining;
  faces->refuse_connections();
  co_await tell_departure(node_goes);
  co_await sleep_for(announcing);
  faces->refuse_requests();
  const Instant until = ports.executor.now() + finish_patience;
  while (faces->cql_requests_open() > 0 && ports.executor.now() < until) co_await sleep_for(node_poll);
  co_await sleep_for(last_words);
  faces->close_cql();
  for (const Instant late = ports.executor.now() + hand_over_patience;
       host->hand_over() > 0 && ports.executor.now() < late;)
    co_await sleep_for(20 * node_poll);
  if (Status flushed = co_await store->flush(); !flushed)
    log.warning("the store was not flushed: {}", flushed.error().to_string());
  drain_phase = DrainPhase::drained;
  log.info("is drained: it may be stopped");
}

Status Node::begin_drain(bool force) {
  Parts& parts = *parts_;
  if (parts.drain_phase != DrainPhase::none) return {};
  if (parts.state() != NodeState::serving || !parts.faces || !parts.faces->serves_cql())
    return fail(ErrorCode::invalid_argument, "{} does not serve: it can be stopped", parts.config.name);
  parts.drain_phase = DrainPhase::waiting;
  parts.tasks.spawn(parts.drain(force));
  return {};
}

}  // namespace asterism
