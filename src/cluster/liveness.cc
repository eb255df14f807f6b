#include "cluster/liveness.h"

#include <algorithm>

#include "cluster/rpc_methods.h"

namespace asterism {

Liveness::Liveness(NodeId self, Executor& executor, Rpc& rpc, Log log)
    : self_(self), executor_(executor), rpc_(rpc), log_(std::move(log)) {
  // The payload is the caller's feature level (varint), or empty where its version knew of none. The answer is empty
  // but for those that are no members any more.
  rpc.handle(rpc_method::ping, [this](RpcRequest request) -> Task<Result<Bytes>> {
    ByteReader in(request.payload);
    const uint64_t level = request.payload.empty() ? first_feature_level : in.varint();
    if (!in.failed()) levels_[request.from] = static_cast<FeatureLevel>(std::min<uint64_t>(level, UINT32_MAX));
    const bool gone = is_gone_ && is_gone_(request.from);
    co_return gone ? Bytes("gone") : Bytes();
  });
}

void Liveness::watch(NodeId node) {
  if (node == self_) return;
  auto [it, added] = watched_.try_emplace(node, executor_);
  if (added) it->second.tasks.spawn(ping_loop(node, it->second));
}

void Liveness::forget(NodeId node) {
  watched_.erase(node);
  levels_.erase(node);
  detector_.forget(node);
}

std::optional<FeatureLevel> Liveness::level_of(NodeId node) const {
  if (node == self_) return own_level_;
  const auto told = levels_.find(node);
  return told == levels_.end() || !up(node) ? std::nullopt : std::optional(told->second);
}

bool Liveness::up(NodeId node) const {
  if (node == self_) return true;
  auto it = watched_.find(node);
  return it != watched_.end() && it->second.up;
}

void Liveness::judge(NodeId node, Watched& watched) {
  const bool up = detector_.alive(node, executor_.now());
  if (up == watched.up) return;
  watched.up = up;
  // What is under way towards a node that fell silent would wait for TCP's patience, also after it is back.
  // Who comes back may be another version.
  if (!up) levels_.erase(node);
  if (!up) rpc_.reset(node);
  log_.info("node {} is {}", node, up ? "up" : "suspected to be down");
  for (auto& listener : listeners_) listener(node, up);
}

Task<void> Liveness::ping_loop(NodeId node, Watched& watched) {
  // A second task judges: a ping under way must not delay the verdict on a silent node.
  watched.tasks.spawn([](Liveness& self, NodeId id, Watched& of) -> Task<void> {
    while (true) {
      co_await sleep_for(ping_every / 2);
      self.judge(id, of);
    }
  }(*this, node, watched));
  while (true) {
    Bytes level;
    ByteWriter(level).varint(own_level_);
    auto pong = co_await rpc_.call(node, rpc_method::ping, std::move(level), executor_.now() + ping_timeout,
                                   RpcPriority::control);
    if (pong) {
      if (!pong->empty() && told_gone_) told_gone_();
      watched.silent_pings = 0;
      detector_.heard(node, executor_.now());
    } else if (pong.error().code == ErrorCode::unavailable) {
      detector_.refused(node);
    } else if (pong.error().code == ErrorCode::timeout && ++watched.silent_pings >= 2) {
      // The other end may be gone without a word: a new connection finds out.
      rpc_.reset(node);
    }
    judge(node, watched);
    co_await sleep_for(watched.up ? ping_every : ping_down_every);
  }
}

}  // namespace asterism
