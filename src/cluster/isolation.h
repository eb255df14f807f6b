// A switch between a node and the other nodes: how a local cluster lets its user try what a cut-off does.
#pragma once

#include <list>

#include "ports/network.h"

namespace asterism {

/// A network like the one within, until it is isolated: then it connects to nobody, closes what is accepted, and every
/// stream it gave is closed. Used by one core. Outlives its listeners and streams.
class IsolatingNetwork final : public Network {
 public:
  explicit IsolatingNetwork(Network& within) : within_(within) {}
  ~IsolatingNetwork() override { *alive_ = false; }

  void isolate(bool isolated);
  bool isolated() const { return isolated_; }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override;
  void connect(const Address& address, Callback<std::unique_ptr<Stream>> done) override;

 private:
  class GuardedStream;
  class GuardedListener;

  /// The stream, or an error while this is isolated.
  Result<std::unique_ptr<Stream>> guard(Result<std::unique_ptr<Stream>> stream);

  Network& within_;
  bool isolated_ = false;
  std::list<Stream*> streams_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace asterism
