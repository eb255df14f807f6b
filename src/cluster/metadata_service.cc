#include "cluster/metadata_service.h"

#include "cluster/rpc_methods.h"
#include "runtime/timeout.h"

namespace asterism {

constexpr Duration retry_delay = 20ms;

MetadataService::MetadataService(NodeId self, Executor& executor, Rpc& rpc, raft::Host& host, Log log)
    : self_(self), executor_(executor), rpc_(rpc), host_(host), log_(std::move(log)) {
  rpc.handle(rpc_method::metadata_wait, [this](RpcRequest request) { return serve_wait(std::move(request)); });
  rpc.handle(rpc_method::metadata_propose, [this](RpcRequest request) { return serve_propose(std::move(request)); });
}

Status MetadataService::start(raft::Configuration first) {
  return host_.add_group(metadata_shard, std::move(first), *this);
}

Result<Bytes> MetadataService::apply(raft::LogIndex index, BytesView payload) {
  Result<Bytes> outcome = state_.apply(index.value, payload);
  waiting_.wake_all();
  return outcome;
}

Status MetadataService::restore(BytesView snapshot) {
  TRY_STATUS(state_.restore(snapshot));
  waiting_.wake_all();
  return {};
}

// Reply of metadata_propose: varint index, u8 0 and the outcome's bytes, or u8 1, u8 code and message.

static Bytes encode_committed(const raft::Host::Committed& committed) {
  Bytes reply;
  ByteWriter out(reply);
  out.varint(committed.index.value);
  out.u8(committed.outcome ? 0 : 1);
  if (committed.outcome) {
    out.raw(*committed.outcome);
  } else {
    out.u8(static_cast<uint8_t>(committed.outcome.error().code));
    out.raw(committed.outcome.error().message);
  }
  return reply;
}

static Result<raft::Host::Committed> decode_committed(BytesView reply) {
  ByteReader in(reply);
  raft::Host::Committed committed{raft::LogIndex{in.varint()}, Bytes{}};
  const bool failed = in.u8() != 0;
  const uint8_t code = failed ? in.u8() : 0;
  if (in.failed() || code > static_cast<uint8_t>(ErrorCode::internal))
    return fail(ErrorCode::corrupt, "malformed reply to a metadata proposal");
  if (failed) {
    committed.outcome = fail(Error{static_cast<ErrorCode>(code), std::string(in.rest())});
  } else {
    committed.outcome = Bytes(in.rest());
  }
  return committed;
}

Task<Result<Bytes>> MetadataService::serve_wait(RpcRequest request) {
  ByteReader in(request.payload);
  const uint64_t index = in.varint();
  if (in.failed()) co_return fail(ErrorCode::corrupt, "malformed request to wait for the metadata log");
  CO_TRY_STATUS(co_await applied(index, request.deadline));
  co_return Bytes{};
}

/// Waits until the nodes that are connected have applied the log up to `index`, or for settle_limit.
Task<void> MetadataService::settle(uint64_t index) {
  Bytes payload;
  ByteWriter(payload).varint(index);
  TaskGroup waiting(executor_);
  for (NodeId node : host_.raft(metadata_shard).configuration().members()) {
    if (node == self_ || !rpc_.connected(node)) continue;
    waiting.spawn([](Rpc& rpc, NodeId to, Bytes request, Instant until) -> Task<void> {
      (void)co_await rpc.call(to, rpc_method::metadata_wait, std::move(request), until);
    }(rpc_, node, payload, executor_.now() + settle_limit));
  }
  co_await waiting.join();
}

Task<Result<Bytes>> MetadataService::serve_propose(RpcRequest request) {
  CO_TRY(auto committed, co_await host_.propose(metadata_shard, std::move(request.payload)));
  co_return encode_committed(committed);
}

Task<Result<Bytes>> MetadataService::propose_once(Bytes record, Instant deadline, bool& retry) {
  retry = false;
  const NodeId to = leader();
  if (!to) {
    retry = true;
    co_return fail(ErrorCode::unavailable, "the metadata log has no leader");
  }
  auto reply = co_await rpc_.call(to, rpc_method::metadata_propose, std::move(record), deadline);
  if (!reply) {
    // These say that nothing was done.
    retry = reply.error().code == ErrorCode::not_leader || reply.error().code == ErrorCode::unavailable ||
            reply.error().code == ErrorCode::overloaded;
    if (reply.error().code == ErrorCode::not_found) {
      retry = true;
      co_return fail(ErrorCode::unavailable, "the leader of the metadata log is not known here yet");
    }
    co_return fail(std::move(reply).error());
  }
  CO_TRY(auto committed, decode_committed(*reply));
  CO_TRY_STATUS(co_await applied(committed.index.value, deadline));
  if (committed.outcome) co_await settle(committed.index.value);
  co_return std::move(committed.outcome);
}

Task<Result<Bytes>> MetadataService::propose(std::string section, Bytes command, Instant deadline) {
  co_return co_await propose_record(MetadataState::encode_record(section, command), deadline);
}

Task<Result<Bytes>> MetadataService::propose_record(Bytes record, Instant deadline) {
  while (true) {
    bool retry = false;
    auto outcome = co_await propose_once(record, deadline, retry);
    if (!retry || executor_.now() + retry_delay >= deadline) co_return outcome;
    co_await sleep_for(retry_delay);
  }
}

Task<Status> MetadataService::wait_applied(uint64_t index) {
  while (state_.applied_index() < index) co_await waiting_.wait();
  co_return Status{};
}

Task<Status> MetadataService::applied(uint64_t index, Instant deadline) {
  if (state_.applied_index() >= index) co_return Status{};
  co_return co_await with_deadline(deadline, wait_applied(index));
}

Task<Status> MetadataService::barrier_loop() {
  while (true) {
    Status done = co_await host_.read_barrier(metadata_shard);
    if (done) co_return done;
    co_await sleep_for(retry_delay);
  }
}

Task<Status> MetadataService::barrier(Instant deadline) { co_return co_await with_deadline(deadline, barrier_loop()); }

}  // namespace asterism
