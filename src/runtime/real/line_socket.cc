#include "runtime/real/line_socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "runtime/real/impl.h"
#include "runtime/real/system_file.h"

namespace asterism {
namespace {

using boost::asio::local::stream_protocol;
using boost::system::error_code;

constexpr size_t connections_max = 64;
constexpr size_t question_bytes_max = 4 << 10;
constexpr size_t answer_bytes_max = 64 << 10;
constexpr Duration silence_max = 10s;

/// The address of a unix socket has 108 bytes: the folder is named by a descriptor, so that paths may be longer.
struct SocketPath {
  explicit SocketPath(const std::string& path)
      : folder(::open(path.substr(0, path.rfind('/') + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
        name(fmt::format("/proc/self/fd/{}/{}", folder.get(), path.substr(path.rfind('/') + 1))) {}
  Descriptor folder;
  std::string name;
};

std::string first_line(const std::string& text, size_t size) { return text.substr(0, size > 0 ? size - 1 : 0); }

struct ServerState : std::enable_shared_from_this<ServerState> {
  ServerState(RealCore::Impl& of, std::function<void(std::string, LineReply)> function)
      : core(of), acceptor(of.io), answer(std::move(function)) {}

  struct Connection {
    explicit Connection(stream_protocol::socket from) : socket(std::move(from)), timer(socket.get_executor()) {}
    stream_protocol::socket socket;
    boost::asio::steady_timer timer;
    std::string in, out;
  };

  void accept() {
    acceptor.async_accept([self = shared_from_this()](const error_code& error, stream_protocol::socket socket) {
      if (!self->answer || error == boost::asio::error::operation_aborted) return;
      if (!error && self->connections < connections_max) self->serve(std::make_shared<Connection>(std::move(socket)));
      self->accept();
    });
  }

  void serve(const std::shared_ptr<Connection>& connection) {
    // Counted for as long as anything refers to it.
    ++connections;
    std::shared_ptr<Connection> counted(connection.get(),
                                        [self = shared_from_this(), connection](Connection*) { --self->connections; });
    counted->timer.expires_after(silence_max);
    counted->timer.async_wait([weak = std::weak_ptr(counted)](const error_code& error) {
      error_code ignored;
      if (auto alive = weak.lock(); alive && !error) (void)alive->socket.close(ignored);
    });
    auto buffer = boost::asio::dynamic_buffer(counted->in, question_bytes_max);
    boost::asio::async_read_until(
        counted->socket, buffer, '\n', [self = shared_from_this(), counted](const error_code& error, size_t size) {
          counted->timer.cancel();
          if (error || !self->answer) return;
          self->answer(first_line(counted->in, size), [counted](std::string line) { reply(counted, std::move(line)); });
        });
  }

  static void reply(const std::shared_ptr<Connection>& connection, std::string line) {
    connection->out = std::move(line) + "\n";
    boost::asio::async_write(connection->socket, boost::asio::buffer(connection->out),
                             [connection](const error_code&, size_t) {});
  }

  RealCore::Impl& core;
  stream_protocol::acceptor acceptor;
  std::function<void(std::string, LineReply)> answer;
  size_t connections = 0;
};

class RealLineServer final : public LineServer {
 public:
  RealLineServer(std::shared_ptr<ServerState> state, std::string path)
      : state_(std::move(state)), path_(std::move(path)) {}
  ~RealLineServer() override {
    state_->answer = nullptr;
    error_code ignored;
    (void)state_->acceptor.close(ignored);
    ::unlink(path_.c_str());
  }

 private:
  std::shared_ptr<ServerState> state_;
  std::string path_;
};

struct Question : std::enable_shared_from_this<Question> {
  Question(RealCore::Impl& core, std::string line, Callback<std::string> then)
      : socket(core.io), timer(core.io), out(std::move(line) + "\n"), done(std::move(then)) {}

  void begin(const std::string& path, Duration limit) {
    timer.expires_after(limit);
    timer.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->end(fail(ErrorCode::timeout, "no answer in time"));
    });
    const auto where = std::make_shared<SocketPath>(path);
    socket.async_connect(stream_protocol::endpoint(where->name), [self = shared_from_this(), where](error_code error) {
      if (error) return self->end(fail(ErrorCode::unavailable, "nobody answers there: {}", error.message()));
      self->ask();
    });
  }

  void ask() {
    boost::asio::async_write(socket, boost::asio::buffer(out), [self = shared_from_this()](error_code error, size_t) {
      if (error) return self->end(fail(ErrorCode::closed, "the question was not taken: {}", error.message()));
      auto buffer = boost::asio::dynamic_buffer(self->in, answer_bytes_max);
      boost::asio::async_read_until(self->socket, buffer, '\n', [self](error_code failed, size_t size) {
        if (failed == boost::asio::error::not_found) return self->end(fail(ErrorCode::too_large, "a long answer"));
        if (failed) return self->end(fail(ErrorCode::closed, "no answer came: {}", failed.message()));
        self->end(first_line(self->in, size));
      });
    });
  }

  void end(Result<std::string> outcome) {
    auto callback = std::exchange(done, nullptr);
    if (!callback) return;
    timer.cancel();
    error_code ignored;
    (void)socket.close(ignored);
    callback(std::move(outcome));
  }

  stream_protocol::socket socket;
  boost::asio::steady_timer timer;
  std::string out, in;
  Callback<std::string> done;
};

}  // namespace

Result<std::unique_ptr<LineServer>> serve_lines(RealCore& core, const std::string& path,
                                                std::function<void(std::string, LineReply)> answer) {
  auto state = std::make_shared<ServerState>(core.impl(), std::move(answer));
  const SocketPath where(path);
  ::unlink(path.c_str());
  error_code error;
  (void)state->acceptor.open(stream_protocol(), error);
  const mode_t before = ::umask(0177);
  if (!error) (void)state->acceptor.bind(stream_protocol::endpoint(where.name), error);
  ::umask(before);
  if (!error) (void)state->acceptor.listen(16, error);
  if (error) return fail(ErrorCode::io, "listen on {}: {}", path, error.message());
  state->accept();
  return std::make_unique<RealLineServer>(std::move(state), path);
}

void ask_line(RealCore& core, const std::string& path, std::string question, Duration limit,
              Callback<std::string> done) {
  std::make_shared<Question>(core.impl(), std::move(question), std::move(done))->begin(path, limit);
}

}  // namespace asterism
