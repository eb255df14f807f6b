#include "cli/serve.h"

#include "node/node.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

constexpr Duration retry_after_failure = 1s;

/// A node that is made anew when its disk failed and works again.
class NodeProcess final : public ServingNode {
 public:
  NodeProcess(RealCore& core, Disk& disk, NodeConfig config, Log log)
      : config_(std::move(config)),
        ports_{core.executor(), core.clock(), core.random(), core.network(), disk},
        log_(std::move(log)),
        tasks_(core.executor()) {}
  ~NodeProcess() override { tasks_.cancel(); }

  Task<Status> start() {
    node_ = std::make_unique<Node>(config_, ports_, NodeTuning{}, log_);
    CO_TRY_STATUS(co_await node_->start());
    tasks_.spawn(restart_after_failures());
    co_return Status{};
  }
  Task<void> stop() override {
    tasks_.cancel();
    if (node_) co_await node_->stop();
    node_.reset();
  }

 private:
  Task<void> restart_after_failures() {
    while (true) {
      const Error why = co_await node_->failed();
      log_.error("starts again because of {}", why.to_string());
      Status started;
      do {
        node_.reset();
        co_await sleep_for(retry_after_failure);
        node_ = std::make_unique<Node>(config_, ports_, NodeTuning{}, log_);
        started = co_await node_->start();
        if (!started) log_.error("cannot start again: {}", started.error().to_string());
      } while (!started);
    }
  }

  NodeConfig config_;
  NodePorts ports_;
  Log log_;
  std::unique_ptr<Node> node_;
  TaskGroup tasks_;
};

}  // namespace

Task<Result<std::unique_ptr<ServingNode>>> start_serving(RealCore& core, Disk& disk, NodeConfig config, Log log) {
  auto node = std::make_unique<NodeProcess>(core, disk, std::move(config), std::move(log));
  CO_TRY_STATUS(co_await node->start());
  co_return node;
}

}  // namespace asterism
