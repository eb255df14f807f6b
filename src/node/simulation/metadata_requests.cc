#include "node/simulation/node_call.h"
#include "node/simulation/session.h"

namespace asterism::simulation {

static Task<Result<Bytes>> propose_on(Node& node, uint64_t entry, Instant deadline) {
  co_return co_await node.metadata().propose(Journal::section_name, Journal::encode(entry), deadline);
}

Task<Answer> propose_entry(SimulatedCluster& cluster, size_t node, JournalChecker& checker, uint64_t entry,
                           Duration limit) {
  const uint64_t floor = checker.floor();
  auto place = co_await call_node<Bytes>(cluster, node, limit, [entry](Node& on, NodeProcess&, Instant deadline) {
    return propose_on(on, entry, deadline);
  });
  if (place) {
    checker.acknowledged(floor, entry, Journal::decode(*place));
    co_return Answer{Ending::done};
  }
  const bool refused = place.error().code == ErrorCode::unavailable;
  if (refused) checker.refused(entry);
  co_return Answer{refused ? Ending::refused : Ending::unknown, place.error().to_string()};
}

Task<Answer> read_entries(SimulatedCluster& cluster, size_t node, JournalChecker& checker, Duration limit) {
  const uint64_t floor = checker.floor();
  auto count = co_await call_node<uint64_t>(
      cluster, node, limit, [](Node& on, NodeProcess& process, Instant deadline) -> Task<Result<uint64_t>> {
        CO_TRY_STATUS(co_await on.metadata().barrier(deadline));
        co_return process.journal().count();
      });
  if (!count) co_return Answer{Ending::unknown, count.error().to_string()};
  checker.read(cluster.config(node).name, floor, *count);
  co_return Answer{Ending::done};
}

}  // namespace asterism::simulation
