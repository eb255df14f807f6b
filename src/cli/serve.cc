#include "cli/serve.h"

#include "cli/node_tls.h"
#include "node/node.h"
#include "runtime/one_shot.h"
#include "runtime/real/line_socket.h"
#include "runtime/real/process.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

constexpr Duration retry_after_failure = 1s;

class ProcessHost final : public NodeHost {
 public:
  ProcessHost(RealCore& core, std::string socket) : core_(core), socket_(std::move(socket)) {}

  std::optional<uint64_t> resident_bytes() const override { return asterism::resident_bytes(self_); }
  Duration processor_time() const override { return asterism::processor_time(); }
  bool is_supervised() const override { return !socket_.empty(); }
  Task<Result<std::string>> ask_supervisor(std::string question) override {
    // Starting a node takes longest.
    constexpr Duration limit = 30s;
    co_return co_await async<std::string>(
        [&](auto done) { ask_line(core_, socket_, std::move(question), limit, std::move(done)); });
  }

 private:
  RealCore& core_;
  std::string socket_;
  ProcessName self_ = current_process();
};

/// A node that is made anew when its disk failed and works again.
class NodeProcess final : public ServingNode {
 public:
  NodeProcess(RealCore& core, Disk& disk, NodeConfig config, std::string supervisor_socket, Log log, Audit audit)
      : core_(core),
        config_(std::move(config)),
        // Faults are for trying out: where a cluster is guarded, no page kills its nodes.
        host_(core, config_.authentication || config_.tls.enabled() ? std::string() : std::move(supervisor_socket)),
        disk_(disk),
        log_(std::move(log)),
        audit_(std::move(audit)),
        tasks_(core.executor()) {}
  ~NodeProcess() override { tasks_.cancel(); }

  Task<Status> start() {
    CO_TRY(clients_, listening_tls(core_, config_));
    CO_TRY(nodes_, nodes_tls(core_, config_));
    node_ = std::make_unique<Node>(config_, ports(), tuning(), log_);
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
  NodePorts ports() const {
    Network& plain = core_.network();
    Network& nodes = nodes_ ? *nodes_ : plain;
    Network& clients = clients_ ? *clients_ : plain;
    return {core_.executor(), core_.clock(), core_.random(), nodes, disk_, &clients};
  }
  NodeTuning tuning() {
    NodeTuning made = NodeTuning::within(uint64_t{config_.memory_mib} << 20);
    made.host = &host_;
    made.audit = audit_;
    return made;
  }

  Task<void> restart_after_failures() {
    while (true) {
      const Error why = co_await node_->failed();
      log_.error("starts again because of {}", why.to_string());
      Status started;
      do {
        node_.reset();
        co_await sleep_for(retry_after_failure);
        node_ = std::make_unique<Node>(config_, ports(), tuning(), log_);
        started = co_await node_->start();
        if (!started) log_.error("cannot start again: {}", started.error().to_string());
      } while (!started);
    }
  }

  RealCore& core_;
  NodeConfig config_;
  ProcessHost host_;
  Disk& disk_;
  std::unique_ptr<Network> clients_, nodes_;
  Log log_;
  Audit audit_;
  std::unique_ptr<Node> node_;
  TaskGroup tasks_;
};

}  // namespace

Task<Result<std::unique_ptr<ServingNode>>> start_serving(RealCore& core, Disk& disk, NodeConfig config,
                                                         std::string supervisor_socket, Log log, Audit audit) {
  auto node = std::make_unique<NodeProcess>(core, disk, std::move(config), std::move(supervisor_socket), std::move(log),
                                            std::move(audit));
  CO_TRY_STATUS(co_await node->start());
  co_return node;
}

}  // namespace asterism
