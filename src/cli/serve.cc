#include "cli/serve.h"

namespace asterism {
namespace {

/// Holds the node's ports. The services of a node plug in here.
class PortHolder final : public ServingNode {
 public:
  PortHolder(std::unique_ptr<Listener> cql, std::unique_ptr<Listener> http, std::unique_ptr<Listener> rpc)
      : cql_(std::move(cql)), http_(std::move(http)), rpc_(std::move(rpc)) {}
  Task<void> stop() override {
    cql_.reset();
    http_.reset();
    rpc_.reset();
    co_return;
  }

 private:
  std::unique_ptr<Listener> cql_, http_, rpc_;
};

}  // namespace

Task<Result<std::unique_ptr<ServingNode>>> start_serving(RealCore& core, Disk&, NodeConfig config, Log log) {
  CO_TRY(auto cql, core.network().listen(config.cql()));
  CO_TRY(auto http, core.network().listen(config.http()));
  CO_TRY(auto rpc, core.network().listen(config.rpc()));
  log.info("{} listens on {} (CQL), {} (HTTP), {} (RPC)", config.name, config.cql().to_string(),
           config.http().to_string(), config.rpc().to_string());
  co_return std::make_unique<PortHolder>(std::move(cql), std::move(http), std::move(rpc));
}

}  // namespace asterism
