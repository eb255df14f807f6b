#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "runtime/real/impl.h"

namespace asterism {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

Address address_of(const tcp::endpoint& endpoint) { return {endpoint.address().to_string(), endpoint.port()}; }

std::unexpected<Error> failure(const error_code& error, const std::string& what) {
  if (error == boost::asio::error::operation_aborted) return fail(ErrorCode::closed, "{}: closed", what);
  return std::unexpected(error_from_errno(error.value(), what));
}

Result<tcp::endpoint> endpoint_of(const Address& address) {
  error_code error;
  auto ip = boost::asio::ip::make_address(address.host, error);
  if (error) return fail(ErrorCode::invalid_argument, "'{}' is not a literal IP address", address.host);
  return tcp::endpoint(ip, address.port);
}

/// Outlives its stream until the operations that the kernel still holds have ended.
struct StreamState : std::enable_shared_from_this<StreamState> {
  StreamState(RealCore::Impl& of, tcp::socket&& from) : core(of), socket(std::move(from)) {}

  void begin() {
    error_code ignored;
    (void)socket.non_blocking(true, ignored);
    (void)socket.set_option(tcp::no_delay(true), ignored);
    local = address_of(socket.local_endpoint(ignored));
    remote = address_of(socket.remote_endpoint(ignored));
  }

  void start_read() {
    // The kernel is asked first where the last read found as much as it could take, so that more is likely there.
    if (more_is_likely && try_read()) {
      boost::asio::post(core.io, [self = shared_from_this()] { self->finish_read(); });
      return;
    }
    wait_readable();
  }

  void wait_readable() {
    socket.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& error) {
      if (!self->read_done) return;
      if (error) {
        self->outcome = failure(error, "read");
      } else if (self->closed) {
        self->outcome = fail(ErrorCode::closed, "read: closed");
      } else if (!self->try_read()) {
        return self->wait_readable();
      }
      self->finish_read();
    });
  }

  /// False where nothing is there yet. Reads into the core's buffer, so that idle streams own none.
  bool try_read() {
    error_code error;
    const size_t room = std::min(max_bytes, RealCore::Impl::scratch_bytes);
    const size_t got = socket.read_some(boost::asio::buffer(core.scratch.get(), room), error);
    if (error == boost::asio::error::would_block || error == boost::asio::error::interrupted) {
      more_is_likely = false;
      return false;
    }
    more_is_likely = got == room;
    if (error == boost::asio::error::eof)
      outcome = Bytes();
    else if (error)
      outcome = failure(error, "read");
    else
      outcome = Bytes(core.scratch.get(), got);
    return true;
  }

  void finish_read() {
    if (auto done = std::exchange(read_done, nullptr)) done(std::exchange(outcome, Bytes()));
  }

  void start_write(std::vector<Bytes> pieces) {
    written = std::move(pieces);
    std::vector<boost::asio::const_buffer> buffers;
    buffers.reserve(written.size());
    for (const Bytes& piece : written) buffers.push_back(boost::asio::buffer(piece));
    // As much in one system call as the socket takes.
    auto all = [](const error_code& error, size_t) { return error ? size_t{0} : SIZE_MAX; };
    boost::asio::async_write(socket, buffers, all, [self = shared_from_this()](const error_code& error, size_t) {
      self->written.clear();
      auto done = std::exchange(self->write_done, nullptr);
      if (!done) return;
      if (error)
        done(failure(error, "write"));
      else
        done({});
    });
  }

  Result<size_t> try_write(BytesView bytes) {
    if (closed) return fail(ErrorCode::closed, "write: closed");
    if (bytes.empty()) return 0;
    error_code error;
    const size_t sent = socket.write_some(boost::asio::buffer(bytes), error);
    if (error == boost::asio::error::would_block || error == boost::asio::error::interrupted) return 0;
    if (error) return failure(error, "write");
    return sent;
  }

  void close() {
    if (std::exchange(closed, true)) return;
    error_code ignored;
    (void)socket.shutdown(tcp::socket::shutdown_both, ignored);
    (void)socket.close(ignored);
  }

  RealCore::Impl& core;
  tcp::socket socket;
  Address local, remote;
  bool closed = false, more_is_likely = false;
  size_t max_bytes = 0;
  Callback<Bytes> read_done;
  Result<Bytes> outcome;
  Callback<void> write_done;
  std::vector<Bytes> written;
};

class RealStream final : public Stream {
 public:
  explicit RealStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) { state_->begin(); }
  ~RealStream() override {
    auto read = std::exchange(state_->read_done, nullptr);
    auto write = std::exchange(state_->write_done, nullptr);
    state_->close();
  }

  void read(size_t max_bytes, Callback<Bytes> done) override {
    ASSERT(!state_->read_done && max_bytes > 0);
    state_->read_done = std::move(done);
    state_->max_bytes = max_bytes;
    state_->start_read();
  }
  void write(std::vector<Bytes> pieces, Callback<void> done) override {
    ASSERT(!state_->write_done);
    state_->write_done = std::move(done);
    state_->start_write(std::move(pieces));
  }
  Result<size_t> try_write(BytesView bytes) override {
    ASSERT(!state_->write_done);
    return state_->try_write(bytes);
  }
  void close() override { state_->close(); }
  Address local_address() const override { return state_->local; }
  Address remote_address() const override { return state_->remote; }

 private:
  std::shared_ptr<StreamState> state_;
};

struct ListenerState : std::enable_shared_from_this<ListenerState> {
  explicit ListenerState(RealCore::Impl& of) : core(of), acceptor(of.io) {}

  void start() {
    acceptor.async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
      if (!self->done) return;
      // The peer gave up before it was accepted: no concern of the caller's.
      if (error == boost::asio::error::connection_aborted) return self->start();
      auto callback = std::exchange(self->done, nullptr);
      if (error) return callback(failure(error, "accept"));
      callback(std::make_unique<RealStream>(std::make_shared<StreamState>(self->core, std::move(socket))));
    });
  }

  RealCore::Impl& core;
  tcp::acceptor acceptor;
  Callback<std::unique_ptr<Stream>> done;
};

class RealListener final : public Listener {
 public:
  RealListener(std::shared_ptr<ListenerState> state, Address local)
      : state_(std::move(state)), local_(std::move(local)) {}
  ~RealListener() override {
    auto done = std::exchange(state_->done, nullptr);
    error_code ignored;
    (void)state_->acceptor.close(ignored);
  }
  void accept(Callback<std::unique_ptr<Stream>> done) override {
    ASSERT(!state_->done);
    state_->done = std::move(done);
    state_->start();
  }
  Address local_address() const override { return local_; }

 private:
  std::shared_ptr<ListenerState> state_;
  Address local_;
};

class RealNetwork final : public Network {
 public:
  explicit RealNetwork(RealCore::Impl& core) : core_(core) {}

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    TRY(tcp::endpoint endpoint, endpoint_of(address));
    auto state = std::make_shared<ListenerState>(core_);
    tcp::acceptor& acceptor = state->acceptor;
    const std::string what = fmt::format("listen on {}", address.to_string());
    error_code error;
    (void)acceptor.open(endpoint.protocol(), error);
    if (!error) (void)acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) (void)acceptor.bind(endpoint, error);
    if (!error) (void)acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
    tcp::endpoint local;
    if (!error) local = acceptor.local_endpoint(error);
    if (error) return failure(error, what);
    return std::make_unique<RealListener>(std::move(state), address_of(local));
  }

  void connect(const Address& address, Callback<std::unique_ptr<Stream>> done) override {
    const std::string what = fmt::format("connect to {}", address.to_string());
    auto endpoint = endpoint_of(address);
    auto callback = std::make_shared<Callback<std::unique_ptr<Stream>>>(std::move(done));
    if (!endpoint) {
      boost::asio::post(core_.io, [callback, error = endpoint.error(), alive = alive_] {
        if (*alive) (*callback)(std::unexpected(error));
      });
      return;
    }
    auto state = std::make_shared<StreamState>(core_, tcp::socket(core_.io));
    state->socket.async_connect(*endpoint, [state, callback, what, alive = alive_](const error_code& error) {
      if (!*alive) return;
      if (error) return (*callback)(failure(error, what));
      error_code ignored;
      // A port of the ephemeral range on which nobody listens can be connected to itself.
      if (state->socket.local_endpoint(ignored) == state->socket.remote_endpoint(ignored))
        return (*callback)(fail(ErrorCode::unavailable, "{}: nobody listens", what));
      (*callback)(std::make_unique<RealStream>(state));
    });
  }

  ~RealNetwork() override { *alive_ = false; }

 private:
  RealCore::Impl& core_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Network> make_real_network(RealCore::Impl& core) { return std::make_unique<RealNetwork>(core); }

}  // namespace asterism
