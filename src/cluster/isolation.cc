#include "cluster/isolation.h"

#include "base/assert.h"

namespace asterism {

class IsolatingNetwork::GuardedStream final : public Stream {
 public:
  GuardedStream(std::unique_ptr<Stream> within, std::list<Stream*>& all)
      : within_(std::move(within)), all_(all), place_(all.insert(all.end(), within_.get())) {}
  ~GuardedStream() override { all_.erase(place_); }

  void read(size_t max_bytes, Callback<Bytes> done) override { within_->read(max_bytes, std::move(done)); }
  void write(std::vector<Bytes> pieces, Callback<void> done) override {
    within_->write(std::move(pieces), std::move(done));
  }
  Result<size_t> try_write(BytesView bytes) override { return within_->try_write(bytes); }
  void close() override { within_->close(); }
  Address local_address() const override { return within_->local_address(); }
  Address remote_address() const override { return within_->remote_address(); }

 private:
  std::unique_ptr<Stream> within_;
  std::list<Stream*>& all_;
  std::list<Stream*>::iterator place_;
};

class IsolatingNetwork::GuardedListener final : public Listener {
 public:
  GuardedListener(std::unique_ptr<Listener> within, IsolatingNetwork& network)
      : within_(std::move(within)), network_(network) {}

  void accept(Callback<std::unique_ptr<Stream>> done) override {
    within_->accept([this, done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
      // Whoever was accepted meanwhile finds the connection closed; the next one may find the network healed.
      if (stream && network_.isolated()) return accept(std::move(done));
      done(network_.guard(std::move(stream)));
    });
  }
  Address local_address() const override { return within_->local_address(); }

 private:
  std::unique_ptr<Listener> within_;
  IsolatingNetwork& network_;
};

void IsolatingNetwork::isolate(bool isolated) {
  isolated_ = isolated;
  if (!isolated) return;
  for (Stream* stream : streams_) stream->close();
}

Result<std::unique_ptr<Stream>> IsolatingNetwork::guard(Result<std::unique_ptr<Stream>> stream) {
  if (!stream) return stream;
  if (isolated_) return fail(ErrorCode::unavailable, "this node is cut off");
  return std::make_unique<GuardedStream>(std::move(*stream), streams_);
}

Result<std::unique_ptr<Listener>> IsolatingNetwork::listen(const Address& address) {
  TRY(auto listener, within_.listen(address));
  return std::make_unique<GuardedListener>(std::move(listener), *this);
}

void IsolatingNetwork::connect(const Address& address, Callback<std::unique_ptr<Stream>> done) {
  within_.connect(address,
                  [this, alive = alive_, done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
                    if (*alive) done(guard(std::move(stream)));
                  });
}

}  // namespace asterism
