#include "cluster/rpc.h"

#include <array>
#include <deque>
#include <unordered_map>

#include "cluster/rpc_frame.h"
#include "runtime/channel.h"
#include "runtime/io.h"
#include "runtime/timeout.h"

namespace asterism {

constexpr size_t read_bytes = 256 << 10;
constexpr size_t write_batch_bytes = 1 << 20;
constexpr size_t max_error_bytes = 4096;

/// What waits to be written on one connection.
struct Rpc::Connection {
  /// Frames one after another. Small payloads are copied in; a large one is a chunk of its own, which completes the
  /// chunk before it.
  struct Chunk {
    Bytes bytes;
    bool open = true;        // more frames may be added
    bool continued = false;  // the last frame's payload is the next chunk
  };
  static constexpr size_t full_chunk_bytes = 64 << 10;
  static constexpr size_t copied_payload_bytes = 8 << 10;

  std::array<std::deque<Chunk>, 3> queues;  // by priority
  size_t queued_bytes = 0;
  size_t serving = 0;
  bool closed = false;
  Bytes spare;  // an empty buffer to use again
  WaitQueue writer;
  WaitQueue reader;

  void push(const rpc::Header& header, Bytes payload, RpcPriority priority) {
    auto& queue = queues[static_cast<size_t>(priority)];
    if (queue.empty() || !queue.back().open || queue.back().bytes.size() >= full_chunk_bytes)
      queue.push_back({.bytes = std::exchange(spare, {})});
    Chunk& chunk = queue.back();
    const size_t before = chunk.bytes.size();
    append_rpc_head(chunk.bytes, header, payload);
    queued_bytes += chunk.bytes.size() - before + payload.size();
    if (payload.size() <= copied_payload_bytes) {
      chunk.bytes += payload;
    } else {
      chunk.open = false;
      chunk.continued = true;
      queue.push_back({.bytes = std::move(payload), .open = false});
    }
    writer.wake_one();
  }
  std::vector<Bytes> take_batch() {
    std::vector<Bytes> batch;
    size_t bytes = 0;
    for (auto& queue : queues) {
      bool continued = false;
      while (!queue.empty() && (bytes < write_batch_bytes || continued)) {
        continued = queue.front().continued;
        bytes += queue.front().bytes.size();
        batch.push_back(std::move(queue.front().bytes));
        queue.pop_front();
      }
    }
    queued_bytes -= bytes;
    if (!batch.empty()) reader.wake_one();
    return batch;
  }
  void use_again(Bytes buffer) {
    if (buffer.capacity() > 2 * full_chunk_bytes) return;
    buffer.clear();
    spare = std::move(buffer);
  }
  /// Whoever waits for it finds that it is over.
  void end() {
    closed = true;
    writer.wake_all();
    reader.wake_all();
  }
};

/// A call that waits for its reply. Lives in the frame of the call.
struct Rpc::Pending {
  Peer& peer;
  OneShot<Bytes>::Sender sender;
  Timer timer;
  uint64_t id = 0;  // 0 once it has its outcome

  Pending(Peer& of, OneShot<Bytes>::Sender s, Executor& executor) : peer(of), sender(std::move(s)), timer(executor) {}
  ~Pending();
  void finish(Result<Bytes> outcome);
};

/// The calls to one peer that wait. An id names a slot and says how often it was used before, so that a late reply
/// finds nobody.
class Rpc::PendingCalls {
 public:
  static constexpr uint64_t most_slots = uint64_t{1} << 20;

  /// 0 where too many wait.
  uint64_t add(Pending& call) {
    if (free_.empty()) {
      if (slots_.size() == most_slots) return 0;
      free_.push_back(static_cast<uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot].call = &call;
    return ++slots_[slot].uses * most_slots + slot;
  }
  Pending* find(uint64_t id) const {
    const uint64_t slot = id % most_slots;
    if (slot >= slots_.size() || slots_[slot].uses != id / most_slots) return nullptr;
    return slots_[slot].call;
  }
  void remove(uint64_t id) {
    slots_[id % most_slots].call = nullptr;
    free_.push_back(static_cast<uint32_t>(id % most_slots));
  }
  void finish_all(ErrorCode code, const char* why) {
    for (size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].call != nullptr) slots_[i].call->finish(fail(code, "{}", why));
  }

 private:
  struct Slot {
    Pending* call = nullptr;
    uint64_t uses = 0;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

struct Rpc::Peer {
  NodeId node;
  Address address;
  std::shared_ptr<Connection> connection;  // frames may queue here before the stream is up
  bool up = false;
  Stream* stream = nullptr;  // while a conversation goes on
  PendingCalls pending;
  WaitQueue demand;
  TaskGroup tasks;

  Peer(NodeId n, Address at, Executor& executor) : node(n), address(std::move(at)), tasks(executor) {
    connection = std::make_shared<Connection>();
  }
  ~Peer() { pending.finish_all(ErrorCode::closed, "the node is no longer known"); }
};

Rpc::Pending::~Pending() {
  if (id != 0) peer.pending.remove(id);
}

void Rpc::Pending::finish(Result<Bytes> outcome) {
  peer.pending.remove(std::exchange(id, 0));
  timer.cancel();
  sender.send(std::move(outcome));
}

Rpc::Rpc(RpcOptions options, Executor& executor, Network& network, Random& random, Log log)
    : options_(std::move(options)),
      executor_(executor),
      network_(network),
      random_(random),
      log_(std::move(log)),
      tasks_(executor) {}

Rpc::~Rpc() { stop(); }

void Rpc::stop() {
  tasks_.cancel();
  peers_.clear();
  listener_.reset();
}

void Rpc::handle(RpcMethod method, Handler handler) {
  ASSERT(!handlers_.contains(method));
  handlers_[method] = std::move(handler);
}

Status Rpc::listen(const Address& address) {
  TRY(listener_, network_.listen(address));
  listens_at_ = address;
  tasks_.spawn(accept_loop());
  return {};
}

void Rpc::set_peer(NodeId node, const Address& address) {
  if (node == options_.self) return;
  if (Peer* known = find(node); known != nullptr && known->address == address) return;
  peers_[node] = std::make_unique<Peer>(node, address, executor_);
  Peer& peer = *peers_[node];
  peer.tasks.spawn(peer_loop(peer));
}

void Rpc::remove_peer(NodeId node) { peers_.erase(node); }

Rpc::Peer* Rpc::find(NodeId node) const {
  auto it = peers_.find(node);
  return it == peers_.end() ? nullptr : it->second.get();
}

bool Rpc::connected(NodeId node) const {
  Peer* peer = find(node);
  return node == options_.self || (peer != nullptr && peer->up);
}

void Rpc::reset(NodeId node) {
  if (Peer* peer = find(node); peer != nullptr && peer->stream != nullptr) peer->stream->close();
}

void Rpc::warm_up(NodeId node) {
  if (Peer* peer = find(node)) peer->demand.wake_all();
}

Task<Result<Bytes>> Rpc::call(NodeId to, RpcMethod method, Bytes payload, Instant deadline, RpcPriority priority) {
  if (to == options_.self) return call_self(method, std::move(payload), deadline);
  return call_peer(to, method, std::move(payload), deadline, priority);
}

Task<Result<Bytes>> Rpc::call_self(RpcMethod method, Bytes payload, Instant deadline) {
  co_return co_await with_deadline(deadline, dispatch(method, RpcRequest{options_.self, std::move(payload), deadline}));
}

Task<Result<Bytes>> Rpc::call_peer(NodeId to, RpcMethod method, Bytes payload, Instant deadline, RpcPriority priority) {
  Peer* peer = find(to);
  if (peer == nullptr) co_return fail(ErrorCode::not_found, "node {} is not known", to);
  if (payload.size() > RpcFrameDecoder::max_payload_bytes)
    co_return fail(ErrorCode::too_large, "a request of {} bytes; the limit is {}", payload.size(),
                   RpcFrameDecoder::max_payload_bytes);
  if (peer->connection->queued_bytes + payload.size() > options_.max_queued_bytes)
    co_return fail(ErrorCode::overloaded, "too much is queued towards node {}", to);
  const Instant now = executor_.now();
  if (deadline <= now) co_return fail(ErrorCode::timeout, "the deadline passed before the call");

  OneShot<Bytes> reply;
  Pending pending(*peer, reply.sender(), executor_);
  pending.id = peer->pending.add(pending);
  if (pending.id == 0) co_return fail(ErrorCode::overloaded, "too many calls to node {} wait", to);
  pending.timer.arm(deadline, [&pending] {
    pending.finish(fail(ErrorCode::timeout, "node {} did not answer in time", pending.peer.node));
  });
  rpc::Header header;
  header.set_kind(rpc::Header::REQUEST);
  header.set_request(pending.id);
  header.set_method(method);
  header.set_timeout_us(static_cast<uint64_t>((deadline - now).count() / 1000));
  peer->connection->push(header, std::move(payload), priority);
  peer->demand.wake_all();
  co_return co_await reply.receive();
}

void Rpc::send(NodeId to, RpcMethod method, Bytes payload, RpcPriority priority) {
  if (to == options_.self) {
    RpcRequest request{to, std::move(payload), Instant::never()};
    tasks_.spawn(
        [](Task<Result<Bytes>> task) -> Task<void> { co_await std::move(task); }(dispatch(method, std::move(request))));
    return;
  }
  Peer* peer = find(to);
  if (peer == nullptr) return;
  if (payload.size() > RpcFrameDecoder::max_payload_bytes ||
      peer->connection->queued_bytes + payload.size() > options_.max_queued_bytes)
    return;
  rpc::Header header;
  header.set_kind(rpc::Header::ONE_WAY);
  header.set_method(method);
  peer->connection->push(header, std::move(payload), priority);
  peer->demand.wake_all();
}

Task<Result<Bytes>> Rpc::dispatch(RpcMethod method, RpcRequest request) {
  auto it = handlers_.find(method);
  if (it != handlers_.end()) return it->second(std::move(request));
  return [](RpcMethod unknown) -> Task<Result<Bytes>> {
    co_return fail(ErrorCode::unsupported, "no handler for RPC method {}", unknown);
  }(method);
}

Task<void> Rpc::write_loop(std::shared_ptr<Connection> connection, Stream& stream) {
  while (!connection->closed) {
    auto batch = connection->take_batch();
    if (batch.empty()) {
      co_await connection->writer.wait();
      continue;
    }
    if (batch.size() == 1) {
      auto sent = stream.try_write(batch[0]);
      if (!sent) break;
      if (*sent == batch[0].size()) {
        connection->use_again(std::move(batch[0]));
        continue;
      }
      batch[0].erase(0, *sent);
    }
    if (!co_await write(stream, std::move(batch))) break;
  }
  connection->end();
  stream.close();
}

// The calling side.

Task<void> Rpc::peer_loop(Peer& peer) {
  Duration delay = options_.reconnect_delay_least;
  while (true) {
    if (peer.connection->queued_bytes == 0) co_await peer.demand.wait();
    auto dial = [](Network& network, Address to) -> Task<Result<std::unique_ptr<Stream>>> {
      co_return co_await connect(network, to);
    };
    auto stream = co_await with_timeout(options_.connect_timeout, dial(network_, peer.address));
    bool delivered = false;
    if (stream) {
      const Instant began = executor_.now();
      peer.stream = stream->get();
      Status ended = co_await converse(peer, **stream);
      peer.stream = nullptr;
      // Whoever answers to another name has served nothing.
      delivered = ended.error().code != ErrorCode::invalid_argument;
      if (!delivered) log_.warning("node {} is not there: {}", peer.node, ended.error().to_string());
      log_.debug("connection to node {} ended: {}", peer.node, ended.error().to_string());
      if (executor_.now() - began > 1s) delay = options_.reconnect_delay_least;
    }
    peer.up = false;
    peer.connection->end();
    peer.connection = std::make_shared<Connection>();
    peer.pending.finish_all(delivered ? ErrorCode::closed : ErrorCode::unavailable,
                            delivered ? "the connection was lost" : "the node cannot be reached");
    co_await sleep_for(delay + Duration(random_.below(static_cast<uint64_t>(delay.count()) / 2 + 1)));
    delay = std::min(delay * 2, options_.reconnect_delay_most);
  }
}

Task<Status> Rpc::converse(Peer& peer, Stream& stream) {
  rpc::Header hello;
  hello.set_kind(rpc::Header::HELLO);
  hello.set_cluster(options_.cluster);
  hello.set_node(options_.self.value);
  hello.set_expected(peer.node.value);
  hello.set_host(listens_at_.host);
  hello.set_port(listens_at_.port);
  CO_TRY_STATUS(co_await write(stream, encode_rpc_head(hello, {})));
  TaskGroup writer(executor_);
  writer.spawn(write_loop(peer.connection, stream));
  co_return co_await read_replies(peer, stream);
}

Task<Status> Rpc::read_replies(Peer& peer, Stream& stream) {
  RpcFrameDecoder decoder;
  RpcFrame frame;
  const rpc::Header& header = frame.header;
  while (true) {
    CO_TRY(Bytes bytes, co_await read(stream, read_bytes));
    if (bytes.empty()) co_return fail(ErrorCode::closed, "the peer closed the connection");
    decoder.feed(std::move(bytes));
    while (true) {
      CO_TRY(const bool whole, decoder.next(frame));
      if (!whole) break;
      if (header.kind() == rpc::Header::HELLO) {
        if (header.cluster() != options_.cluster || header.node() != peer.node.value)
          co_return fail(ErrorCode::invalid_argument, "{} is node {} of cluster '{}'", peer.address.to_string(),
                         header.node(), header.cluster());
        peer.up = true;
        continue;
      }
      Pending* call = peer.pending.find(header.request());
      if (call == nullptr) continue;  // its deadline has passed, or nobody waits for it any more
      if (header.kind() == rpc::Header::ERROR) {
        const auto code = std::min<uint32_t>(header.error_code(), static_cast<uint32_t>(ErrorCode::internal));
        call->finish(fail(Error{static_cast<ErrorCode>(code), header.error_message()}));
      } else {
        call->finish(std::move(frame.payload));
      }
    }
  }
}

// The serving side.

/// Reads what comes and drops it, until the other end closes.
static Task<Status> until_closed(Stream& stream) {
  while (true) {
    CO_TRY(const Bytes bytes, co_await read(stream, read_bytes));
    if (bytes.empty()) co_return Status{};
  }
}

Task<void> Rpc::accept_loop() {
  while (true) {
    auto stream = co_await accept(*listener_);
    if (stream) {
      tasks_.spawn(serve(std::move(*stream)));
    } else {
      co_await sleep_for(100ms);
    }
  }
}

Task<void> Rpc::serve(std::unique_ptr<Stream> stream) {
  auto connection = std::make_shared<Connection>();
  TaskGroup writer(executor_);
  writer.spawn(write_loop(connection, *stream));
  RpcFrameDecoder decoder;
  RpcFrame frame;
  const rpc::Header& header = frame.header;
  NodeId from;
  while (!connection->closed) {
    auto bytes = co_await read(*stream, read_bytes);
    if (!bytes || bytes->empty()) break;
    decoder.feed(std::move(*bytes));
    bool broken = false;
    while (!broken) {
      auto whole = decoder.next(frame);
      if (!whole) {
        log_.warning("dropping a connection from {}: {}", stream->remote_address().to_string(),
                     whole.error().to_string());
        broken = true;
        break;
      }
      if (!*whole) break;
      if (header.kind() == rpc::Header::HELLO) {
        if (from || header.node() == 0) {
          broken = true;
          break;
        }
        rpc::Header hello;
        hello.set_kind(rpc::Header::HELLO);
        hello.set_cluster(options_.cluster);
        hello.set_node(options_.self.value);
        if (header.cluster() != options_.cluster || header.expected() != options_.self.value) {
          // The caller learns who is here instead. Nothing else was written to this stream yet.
          auto tell = [](Stream& to, Bytes frame) -> Task<Status> { co_return co_await write(to, std::move(frame)); };
          auto told = co_await with_timeout(1s, tell(*stream, encode_rpc_head(hello, {})));
          if (told) co_await with_timeout(1s, until_closed(*stream));
          broken = true;
          break;
        }
        from = NodeId{header.node()};
        if (find(from) == nullptr && !header.host().empty() && header.port() <= UINT16_MAX)
          set_peer(from, {header.host(), static_cast<uint16_t>(header.port())});
        connection->push(hello, {}, RpcPriority::control);
        continue;
      }
      const bool wants_reply = header.kind() == rpc::Header::REQUEST;
      if (!from || !(wants_reply || header.kind() == rpc::Header::ONE_WAY)) {
        broken = true;
        break;
      }
      while (!connection->closed &&
             (connection->serving >= options_.max_serving || connection->queued_bytes > options_.max_queued_bytes))
        co_await connection->reader.wait();
      if (connection->closed) {
        broken = true;
        break;
      }
      ++connection->serving;
      const auto timeout = std::chrono::microseconds(std::min<uint64_t>(header.timeout_us(), 3'600'000'000));
      RpcRequest call{from, std::move(frame.payload), wants_reply ? executor_.now() + timeout : Instant::never()};
      tasks_.spawn(serve_request(connection, header.request(), static_cast<RpcMethod>(header.method()), std::move(call),
                                 wants_reply));
    }
    if (broken) break;
  }
  connection->end();
}

Task<void> Rpc::serve_request(std::shared_ptr<Connection> connection, uint64_t request, RpcMethod method,
                              RpcRequest call, bool wants_reply) {
  auto result = co_await dispatch(method, std::move(call));
  if (result && result->size() > RpcFrameDecoder::max_payload_bytes)
    result = fail(ErrorCode::too_large, "the answer has {} bytes; the limit is {}", result->size(),
                  RpcFrameDecoder::max_payload_bytes);
  --connection->serving;
  connection->reader.wake_one();
  if (!wants_reply || connection->closed) co_return;
  rpc::Header header;
  header.set_request(request);
  if (result) {
    header.set_kind(rpc::Header::REPLY);
    connection->push(header, std::move(*result), RpcPriority::request);
  } else {
    header.set_kind(rpc::Header::ERROR);
    header.set_error_code(static_cast<uint32_t>(result.error().code));
    header.set_error_message(result.error().message.substr(0, max_error_bytes));
    connection->push(header, {}, RpcPriority::request);
  }
}

}  // namespace asterism
