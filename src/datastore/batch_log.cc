#include "datastore/batch_log.h"

#include "datastore/replica_service.h"
#include "runtime/timeout.h"

namespace asterism::datastore {

constexpr Duration keep_elsewhere_timeout = 500ms, forget_timeout = 2s, retry_after = 1s;
constexpr uint64_t finished_at_once = 64;

static Bytes batch_key(uint64_t id) {
  Bytes key;
  ByteWriter out(key);
  out.u32_be(batches_table);
  out.u64_be(id);
  return key;
}

BatchLog::BatchLog(NodeId self, Executor& executor, Random& random, Rpc& rpc, const ClusterState& cluster,
                   Liveness& liveness, Replica& replica, Write write, Log log)
    : self_(self),
      executor_(executor),
      random_(random),
      rpc_(rpc),
      cluster_(cluster),
      liveness_(liveness),
      replica_(replica),
      write_(std::move(write)),
      log_(std::move(log)),
      finishing_(finished_at_once),
      tasks_(executor) {
  rpc.handle(rpc_method::keep_batch, [this](RpcRequest request) { return serve_keep(std::move(request)); });
  rpc.handle(rpc_method::forget_batch, [this](RpcRequest request) { return serve_forget(std::move(request)); });
}

BatchLog::~BatchLog() { tasks_.cancel(); }

Status BatchLog::start() {
  auto it = replica_.iterate({batch_key(0), batch_key(UINT64_MAX), false});
  for (it.seek_first(); it.valid(); it.next()) {
    if (it.key().size() != 12) return fail(ErrorCode::corrupt, "the key of a stored batch is malformed");
    finish({load_big_endian<uint64_t>(it.key().data() + 4), std::nullopt});
  }
  TRY_STATUS(it.status());
  tasks_.spawn(take_over());
  return {};
}

Result<bool> BatchLog::holds_any() const {
  auto it = replica_.iterate({batch_key(0), batch_key(UINT64_MAX), false});
  it.seek_first();
  TRY_STATUS(it.status());
  return it.valid();
}

Bytes BatchLog::encode(std::span<const BytesView> mutations) {
  Bytes batch;
  ByteWriter out(batch);
  out.varint(mutations.size());
  for (BytesView mutation : mutations) out.sized(mutation);
  return batch;
}

Task<Status> BatchLog::store(uint64_t id, Bytes batch) {
  std::vector<Replica::Change> changes;
  changes.push_back({batch_key(id), std::move(batch)});
  co_return co_await replica_.write_own(std::move(changes));
}

Task<Status> BatchLog::remove(uint64_t id) {
  std::vector<Replica::Change> changes;
  changes.push_back({batch_key(id), std::nullopt});
  co_return co_await replica_.write_own(std::move(changes));
}

/// Another node that is up, of this datacenter where there is one, in another rack where there is one.
std::optional<NodeId> BatchLog::choose_other() {
  const NodeInfo* own = cluster_.node(self_);
  std::vector<NodeId> best;
  int best_rank = -1;
  for (const auto& [id, node] : cluster_.nodes()) {
    if (id == self_ || !liveness_.up(id)) continue;
    const bool near = own != nullptr && node.place.datacenter == own->place.datacenter;
    const int rank = near ? 1 + (node.place.rack != own->place.rack) : 0;
    if (rank > best_rank) best.clear();
    best_rank = std::max(best_rank, rank);
    if (rank == best_rank) best.push_back(id);
  }
  if (best.empty()) return std::nullopt;
  return best[random_.below(best.size())];
}

Task<void> BatchLog::keep_elsewhere(uint64_t id, const Bytes& batch, Instant deadline, std::optional<NodeId>& other) {
  const auto chosen = choose_other();
  if (!chosen) co_return;
  Bytes payload;
  payload.reserve(batch.size() + 8);
  ByteWriter out(payload);
  out.u64_le(id);
  out.raw(batch);
  const Instant until = std::min(deadline, executor_.now() + keep_elsewhere_timeout);
  auto kept = co_await rpc_.call(*chosen, rpc_method::keep_batch, std::move(payload), until);
  if (kept) other = chosen;
}

Task<Result<BatchLog::Entry>> BatchLog::keep(Bytes batch, Instant deadline) {
  Entry entry{random_.next(), std::nullopt};
  TaskGroup elsewhere(executor_);
  elsewhere.spawn(keep_elsewhere(entry.id, batch, deadline, entry.other));
  Status kept = co_await with_deadline(deadline, store(entry.id, batch));
  co_await elsewhere.join();
  if (!kept) co_return fail(kept.error());
  co_return entry;
}

void BatchLog::forget(Entry entry) { tasks_.spawn(forget_now(entry)); }

Task<void> BatchLog::forget_now(Entry entry) {
  if (entry.other) {
    Bytes payload;
    ByteWriter(payload).u64_le(entry.id);
    (void)co_await rpc_.call(*entry.other, rpc_method::forget_batch, std::move(payload),
                             executor_.now() + forget_timeout);
  }
  if (Status removed = co_await remove(entry.id); !removed)
    log_.warning("a batch that is finished stays written down: {}", removed.error().to_string());
}

void BatchLog::finish(Entry entry) { tasks_.spawn(finish_now(entry)); }

Task<void> BatchLog::finish_now(Entry entry) {
  const auto permit = co_await finishing_.acquire();
  const auto stored = replica_.get(batch_key(entry.id));
  if (!stored) {
    log_.error("a logged batch cannot be read: {}", stored.error().to_string());
    co_return;
  }
  if (!*stored) co_return;
  ByteReader in(**stored);
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    const Bytes mutation(in.sized());
    while (!co_await write_(mutation)) co_await sleep_for(retry_after);
  }
  co_await forget_now(entry);
}

Task<void> BatchLog::take_over() {
  while (true) {
    if (foreign_due_.empty()) {
      co_await news_.wait();
      continue;
    }
    const auto [due, id] = foreign_due_.front();
    if (foreign_.contains(id)) {
      co_await sleep_until(due);
      if (auto held = foreign_.extract(id)) {
        foreign_bytes_ -= held.mapped();
        finish({id, std::nullopt});
      }
    }
    foreign_due_.pop_front();
  }
}

Task<Result<Bytes>> BatchLog::serve_keep(RpcRequest request) {
  ByteReader in(request.payload);
  const uint64_t id = in.u64_le();
  const BytesView batch = in.rest();
  if (in.failed() || batch.size() > Mutation::max_bytes)
    co_return fail(ErrorCode::invalid_argument, "a malformed batch");
  if (refusing_) co_return fail(ErrorCode::overloaded, "this node leaves the cluster");
  if (foreign_bytes_ + batch.size() > max_foreign_bytes)
    co_return fail(ErrorCode::overloaded, "too many batches of other nodes wait here");
  if (!foreign_.emplace(id, batch.size()).second) co_return fail(ErrorCode::already_exists, "a batch has this id");
  foreign_bytes_ += batch.size();
  foreign_due_.emplace_back(executor_.now() + take_over_after, id);
  news_.wake_all();
  CO_TRY_STATUS(co_await store(id, Bytes(batch)));
  co_return Bytes{};
}

Task<Result<Bytes>> BatchLog::serve_forget(RpcRequest request) {
  ByteReader in(request.payload);
  const uint64_t id = in.u64_le();
  if (in.failed()) co_return fail(ErrorCode::invalid_argument, "a malformed batch id");
  if (auto held = foreign_.extract(id)) foreign_bytes_ -= held.mapped();
  CO_TRY_STATUS(co_await remove(id));
  co_return Bytes{};
}

}  // namespace asterism::datastore
