// Calls between the nodes of a cluster: one pipelined connection per direction and pair of nodes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/id.h"
#include "base/log.h"
#include "ports/network.h"
#include "ports/random.h"
#include "runtime/task_group.h"

namespace asterism {

/// Names a handler. Each layer owns a range: 1–99 cluster, 100–199 datastore.
using RpcMethod = uint16_t;

/// Under load, frames of a lower class wait for those of a higher one.
enum class RpcPriority : uint8_t { control, request, bulk };

struct RpcRequest {
  NodeId from;
  Bytes payload;
  Instant deadline;
};

struct RpcOptions {
  NodeId self;
  std::string cluster;  // connections from and to nodes of another cluster are refused
  Duration connect_timeout = 1s;
  Duration reconnect_delay_least = 20ms;
  Duration reconnect_delay_most = 500ms;
  size_t max_queued_bytes = 64 << 20;  // towards one peer; more is refused with `overloaded`
  size_t max_serving = 4096;           // requests of one connection under way; more are not read
};

/// Both ends of every conversation of one core with the other nodes. Handlers run as tasks of this object: destroying
/// it cancels them. Used by one core.
class Rpc {
 public:
  using Handler = std::function<Task<Result<Bytes>>(RpcRequest)>;

  Rpc(RpcOptions options, Executor& executor, Network& network, Random& random, Log log);
  ~Rpc();

  /// Register all handlers before listen(). A method nobody handles answers `unsupported`.
  void handle(RpcMethod method, Handler handler);
  Status listen(const Address& address);
  /// Cancels every handler and connection: nothing that a handler refers to is used after this.
  void stop();

  /// Where a node is. A node that calls says where it listens, and can be called back without this: who lost what it
  /// knew is found by the others. Calls to any other node never named fail with `not_found`.
  void set_peer(NodeId node, const Address& address);
  void remove_peer(NodeId node);

  /// Errors: `unavailable` where the request was certainly not delivered; `closed` or `timeout` where it may have been;
  /// `overloaded` where the queue is full; `too_large` beyond 64 MiB either way; and whatever the handler failed with.
  /// A call to oneself takes no socket.
  Task<Result<Bytes>> call(NodeId to, RpcMethod method, Bytes payload, Instant deadline,
                           RpcPriority priority = RpcPriority::request);
  /// Sends and forgets; lost where there is no connection within the reconnect delay or the queue is full.
  void send(NodeId to, RpcMethod method, Bytes payload, RpcPriority priority = RpcPriority::control);

  /// Opens the connection to a peer before it is needed.
  void warm_up(NodeId node);
  bool connected(NodeId node) const;
  /// Gives the connection to a peer up; calls under way fail with `closed` and a new one is opened on demand.
  void reset(NodeId node);

 private:
  struct Connection;
  struct Peer;
  struct Pending;
  class PendingCalls;

  Task<Result<Bytes>> call_self(RpcMethod method, Bytes payload, Instant deadline);
  Task<Result<Bytes>> call_peer(NodeId to, RpcMethod method, Bytes payload, Instant deadline, RpcPriority priority);
  Task<void> accept_loop();
  Task<void> serve(std::unique_ptr<Stream> stream);
  Task<void> serve_request(std::shared_ptr<Connection> connection, uint64_t request, RpcMethod method, RpcRequest call,
                           bool wants_reply);
  Task<void> peer_loop(Peer& peer);
  Task<Status> converse(Peer& peer, Stream& stream);
  Task<Status> read_replies(Peer& peer, Stream& stream);
  Task<void> write_loop(std::shared_ptr<Connection> connection, Stream& stream);
  Task<Result<Bytes>> dispatch(RpcMethod method, RpcRequest request);
  Peer* find(NodeId node) const;

  RpcOptions options_;
  Executor& executor_;
  Network& network_;
  Random& random_;
  Log log_;
  std::map<RpcMethod, Handler> handlers_;
  std::unique_ptr<Listener> listener_;
  Address listens_at_;
  std::map<NodeId, std::unique_ptr<Peer>> peers_;
  TaskGroup tasks_;
};

}  // namespace asterism
