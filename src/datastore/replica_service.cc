#include "datastore/replica_service.h"

#include "runtime/timeout.h"

namespace asterism::datastore {

static Durability durability_of(const Keyspace& keyspace) {
  return keyspace.durable_writes ? Durability::synced : Durability::relaxed;
}

constexpr size_t max_shards_in_request = 4096;
constexpr size_t max_bytes_at_once = 2 * Mutation::max_bytes;

void RequestView::encode(ByteWriter& out) const {
  out.varint(metadata_index);
  out.varint(shards.size());
  for (const auto& [shard, epoch] : shards) {
    out.varint(shard.value);
    out.varint(epoch.value);
  }
}

Result<RequestView> RequestView::decode(ByteReader& in) {
  RequestView view;
  view.metadata_index = in.varint();
  const uint64_t count = in.varint();
  if (count > max_shards_in_request) in.fail();
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    const ShardId shard{in.varint()};
    view.shards.emplace_back(shard, Epoch{in.varint()});
  }
  if (in.failed()) return fail(ErrorCode::corrupt, "a request between replicas is malformed");
  return view;
}

ReplicaService::ReplicaService(NodeId self, Rpc& rpc, MetadataService& metadata, const ClusterState& cluster,
                               const Schema& schema, Replica& replica, Defects defects)
    : self_(self),
      metadata_(metadata),
      cluster_(cluster),
      schema_(schema),
      replica_(replica),
      load_(schema),
      defects_(defects) {
  rpc.handle(rpc_method::write, [this](RpcRequest request) { return serve_write(std::move(request)); });
  rpc.handle(rpc_method::write_all, [this](RpcRequest request) { return serve_write_all(std::move(request)); });
  rpc.handle(rpc_method::read, [this](RpcRequest request) { return serve_read(std::move(request)); });
}

Bytes ReplicaService::encode_write(const RequestView& view, BytesView mutation) {
  Bytes bytes;
  bytes.reserve(mutation.size() + 32);
  ByteWriter out(bytes);
  view.encode(out);
  out.raw(mutation);
  return bytes;
}

Bytes ReplicaService::encode_write_all(const RequestView& view, const std::vector<Bytes>& mutations) {
  size_t size = 32;
  for (const Bytes& mutation : mutations) size += mutation.size() + 4;
  Bytes bytes;
  bytes.reserve(size);
  ByteWriter out(bytes);
  view.encode(out);
  for (const Bytes& mutation : mutations) out.sized(mutation);
  return bytes;
}

Bytes ReplicaService::encode_write_all(const RequestView& view, BytesView mutation) {
  Bytes bytes;
  bytes.reserve(mutation.size() + 36);
  ByteWriter out(bytes);
  view.encode(out);
  out.sized(mutation);
  return bytes;
}

Task<Status> ReplicaService::bring(Rpc& rpc, const ClusterState& cluster, NodeId to, const RequestView& view,
                                   BytesView mutation, Instant deadline, RpcPriority priority) {
  const bool apart = cluster.level() >= balance_feature_level;
  Bytes payload = apart ? encode_write_all(view, mutation) : encode_write(view, mutation);
  auto written =
      co_await rpc.call(to, apart ? rpc_method::write_all : rpc_method::write, std::move(payload), deadline, priority);
  co_return written ? Status() : Status(fail(std::move(written).error()));
}

Bytes ReplicaService::encode_read(const RequestView& view, const ReadCommand& command, bool digest_only) {
  Bytes bytes;
  ByteWriter out(bytes);
  view.encode(out);
  out.u8(digest_only ? 1 : 0);
  out.raw(command.encode());
  return bytes;
}

Bytes fence_key() {
  Bytes key;
  ByteWriter out(key);
  out.u32_be(facts_table);
  out.raw("fence");
  return key;
}

Status ReplicaService::start() {
  TRY(const auto stored, replica_.get(fence_key()));
  if (!stored) return {};
  ByteReader in(*stored);
  fence_ = std::max(fence_, in.u64_le());
  return in.failed() ? Status(fail(ErrorCode::corrupt, "the stored fence is malformed")) : Status();
}

Task<Status> ReplicaService::fence() {
  if (fence_ == unknown_fence)
    co_return fail(ErrorCode::unavailable, "node {} does not know yet what it once knew of the metadata", self_);
  const uint64_t index = metadata_.applied_index();
  if (fence_ < index) co_return co_await store_fence(index);
  co_return Status{};
}

Task<Status> ReplicaService::renew_fence() {
  const uint64_t index = metadata_.applied_index();
  CO_TRY_STATUS(co_await store_fence(index));
  fence_ = index;
  fence_renewed_.wake_all();
  co_return Status{};
}

Task<Status> ReplicaService::store_fence(uint64_t index) {
  Bytes value;
  ByteWriter(value).u64_le(index);
  std::vector<Replica::Change> changes;
  changes.push_back({fence_key(), std::move(value)});
  CO_TRY_STATUS(co_await replica_.write_own(std::move(changes)));
  fence_ = std::max(fence_, index);
  co_return Status{};
}

Status ReplicaService::check(const RequestView& view, bool (Shard::*serves)(NodeId) const) const {
  if (defects_.has(Defect::accept_wrong_epoch)) return {};
  for (const auto& [id, epoch] : view.shards) {
    const Shard* shard = cluster_.shard(id);
    const bool serving = shard != nullptr && (defects_.has(Defect::keep_epoch) || (shard->*serves)(self_));
    if (!serving || shard->epoch != epoch)
      return fail(ErrorCode::wrong_epoch, "shard {} is not at epoch {} on node {}", id, epoch, self_);
  }
  return {};
}

/// What is needed is looked up again whenever it may have changed.
Task<Status> ReplicaService::know(const RequestView& view, Instant deadline) {
  while (!knows(view)) {
    if (fence_ == unknown_fence)
      co_await fence_renewed_.wait();
    else
      CO_TRY_STATUS(co_await metadata_.applied(needed(view), deadline));
  }
  co_return Status{};
}

Task<Status> ReplicaService::admit(const RequestView& view, Instant deadline) {
  if (!knows(view)) CO_TRY_STATUS(co_await with_deadline(deadline, know(view, deadline)));
  co_return check(view, &Shard::answers);
}

Task<Status> ReplicaService::write(const RequestView& view, Bytes mutation, Instant deadline) {
  if (!knows(view)) CO_TRY_STATUS(co_await with_deadline(deadline, know(view, deadline)));
  CO_TRY_STATUS(check(view, &Shard::holds));
  const uint32_t table = MutationView::table_of(mutation);
  const Keyspace* keyspace = schema_.keyspace_of(table);
  if (keyspace == nullptr) co_return fail(ErrorCode::not_found, "the table was dropped");
  load_.add(table, MutationView::token_of(mutation), RingLoad::work_of_write(mutation.size()));
  co_return co_await replica_.write(std::move(mutation), durability_of(*keyspace));
}

Task<Status> ReplicaService::write_all(const RequestView& view, std::vector<Bytes> mutations, Instant deadline) {
  if (!knows(view)) CO_TRY_STATUS(co_await with_deadline(deadline, know(view, deadline)));
  CO_TRY_STATUS(check(view, &Shard::holds));
  uint32_t checked = 0;  // no table has this number
  Durability durability = Durability::relaxed;
  for (const Bytes& mutation : mutations) {
    const uint32_t table = MutationView::table_of(mutation);
    if (table == checked) continue;
    const Keyspace* keyspace = schema_.keyspace_of(table);
    if (keyspace == nullptr) co_return fail(ErrorCode::not_found, "the table was dropped");
    if (keyspace->durable_writes) durability = Durability::synced;
    checked = table;
  }
  co_return co_await replica_.write_all(std::move(mutations), durability);
}

Status ReplicaService::check_readable(const ReadCommand& command) const {
  if (metadata_.applied_index() < fence_)
    return fail(ErrorCode::unavailable, "node {} has forgotten some of the metadata", self_);
  if (rebuilding_) return fail(ErrorCode::unavailable, "node {} is being rebuilt", self_);
  if (schema_.keyspace_of(command.table) == nullptr) return fail(ErrorCode::not_found, "the table was dropped");
  return {};
}

void ReplicaService::count(const ReplicaRead& reading) {
  const uint32_t work = RingLoad::work_of_read(reading.steps(), reading.bytes());
  const ReadCommand& command = reading.command();
  if (command.single) return load_.add(command.table, command.token, work);
  const auto [first, last] = reading.tokens();
  load_.add_between(command.table, first, last, work);
}

Result<bool> ReplicaService::begin_read(ReplicaRead& reading) {
  TRY_STATUS(check_readable(reading.command()));
  const Result<bool> done = reading.begin();
  if (done && *done) count(reading);
  return done;
}

Task<Status> ReplicaService::finish_read(ReplicaRead& reading, const RequestView& view, Instant deadline) {
  Executor& executor = co_await current_executor();
  while (true) {
    co_await long_turn();
    if (executor.now() >= deadline) co_return fail(ErrorCode::timeout, "the deadline passed");
    CO_TRY_STATUS(check(view, &Shard::answers));
    CO_TRY_STATUS(check_readable(reading.command()));
    CO_TRY(const bool done, reading.go_on());
    if (!done) continue;
    count(reading);
    co_return Status{};
  }
}

Task<Result<Bytes>> ReplicaService::read(const RequestView& view, const ReadCommand& command, bool digest_only,
                                         Instant deadline) {
  if (!knows(view)) CO_TRY_STATUS(co_await with_deadline(deadline, know(view, deadline)));
  CO_TRY_STATUS(check(view, &Shard::answers));
  ReplicaRead reading(replica_, command);
  CO_TRY(const bool done, begin_read(reading));
  if (!done) CO_TRY_STATUS(co_await finish_read(reading, view, deadline));
  Bytes encoded = std::move(reading).take();
  if (!digest_only) co_return encoded;
  Bytes digest;
  ByteWriter(digest).u64_le(digest_of(encoded));
  co_return digest;
}

Task<Result<Bytes>> ReplicaService::serve_write(RpcRequest request) {
  ByteReader in(request.payload);
  CO_TRY(const RequestView view, RequestView::decode(in));
  if (in.rest().size() > Mutation::max_bytes)
    co_return fail(ErrorCode::too_large, "a mutation of {} bytes", in.rest().size());
  CO_TRY(const MutationView checked, MutationView::decode(in.rest()));
  CO_TRY_STATUS(co_await write(view, Bytes(in.rest()), request.deadline));
  co_return Bytes{};
}

Task<Result<Bytes>> ReplicaService::serve_write_all(RpcRequest request) {
  ByteReader in(request.payload);
  CO_TRY(const RequestView view, RequestView::decode(in));
  if (in.remaining() > max_bytes_at_once) co_return fail(ErrorCode::too_large, "{} bytes of mutations", in.remaining());
  std::vector<Bytes> mutations;
  while (!in.at_end()) {
    const BytesView mutation = in.sized();
    if (mutation.size() > Mutation::max_bytes)
      co_return fail(ErrorCode::too_large, "a mutation of {} bytes", mutation.size());
    CO_TRY(const MutationView checked, MutationView::decode(mutation));
    mutations.emplace_back(mutation);
  }
  if (in.failed()) co_return fail(ErrorCode::corrupt, "a write between replicas is malformed");
  CO_TRY_STATUS(co_await write_all(view, std::move(mutations), request.deadline));
  co_return Bytes{};
}

Task<Result<Bytes>> ReplicaService::serve_read(RpcRequest request) {
  ByteReader in(request.payload);
  CO_TRY(const RequestView view, RequestView::decode(in));
  const bool digest_only = in.u8() != 0;
  CO_TRY(const ReadCommand command, ReadCommand::decode(in));
  if (!in.at_end()) co_return fail(ErrorCode::corrupt, "a read request is malformed");
  co_return co_await read(view, command, digest_only, request.deadline);
}

}  // namespace asterism::datastore
