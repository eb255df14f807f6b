// Running a task on a node from a client's machine, without the network.
#pragma once

#include "node/simulation/cluster.h"
#include "runtime/one_shot.h"
#include "runtime/timeout.h"

namespace asterism::simulation {

template <class T>
Task<Result<T>> receive(OneShot<T>& one_shot) {
  co_return co_await one_shot.receive();
}

/// `work(Node&, NodeProcess&, Instant deadline)` yields a Task<Result<T>>; it is destroyed with the node, which yields
/// `closed`. Errors: unavailable where the node does not serve (nothing was done), timeout.
template <class T, class Work>
Task<Result<T>> call_node(SimulatedCluster& cluster, size_t node, Duration limit, Work work) {
  NodeProcess* process = cluster.process(node);
  if (process == nullptr || process->serving() == nullptr) co_return fail(ErrorCode::unavailable, "it does not serve");
  OneShot<T> one_shot;
  process->spawn([](NodeProcess& on, Work run, Duration time, typename OneShot<T>::Sender sender) -> Task<void> {
    auto result = co_await run(*on.serving(), on, on.machine().executor().now() + time);
    sender.send(std::move(result));
  }(*process, std::move(work), limit, one_shot.sender()));
  co_return co_await with_timeout<T>(limit + 500ms, receive(one_shot));
}

}  // namespace asterism::simulation
