#include "cli/batch_sender.h"

#include <algorithm>

namespace asterism {
namespace {

using cql::CqlClient;
namespace wire = cql::wire;

constexpr wire::Version version = wire::Version::v4;  // without checksums over what TCP or TLS checks anyway
constexpr Duration connect_limit = 3s, reconnect_every = 250ms, avoid_for = 3s;
constexpr Duration backoff_least = 20ms, backoff_most = 2s;
constexpr Duration run_time = 1s;
constexpr size_t type_offset = wire::envelope_header_size, count_offset = type_offset + 1;
constexpr uint8_t prepared_kind = 1, with_timestamp = 0x20;

}  // namespace

BatchSender::BatchSender(RealCore& core, CqlCluster& cluster, BatchSenderOptions options,
                         std::function<void(const BatchPart&)> acknowledged)
    : core_(core),
      cluster_(cluster),
      options_(std::move(options)),
      acknowledged_(std::move(acknowledged)),
      batches_(options_.batches_under_way_max),
      bytes_(bytes_under_way_max),
      deliveries_(core.executor()),
      tasks_(core.executor()) {}

Task<Status> BatchSender::open(std::vector<RingNode> ring) {
  for (RingNode& node : ring) {
    for (int64_t token : node.tokens) ring_.emplace_back(token, nodes_.size());
    nodes_.emplace_back().known = std::move(node);
  }
  std::ranges::sort(ring_);
  Status last = fail(ErrorCode::unavailable, "no node answers");
  bool any = false;
  for (Node& node : nodes_) {
    last = co_await connect(node);
    any |= last.has_value();
    // What a server refuses, the others refuse too.
    if (!last && last.error().code == ErrorCode::invalid_argument) co_return last;
  }
  if (!any) co_return last;
  for (size_t i = 0; i < nodes_.size(); ++i) tasks_.spawn(keep_connected(i));
  latest_answer_ = core_.executor().now();
  co_return Status{};
}

/// And prepares the statement, whose id is the same on every node.
Task<Status> BatchSender::connect(Node& node) {
  CO_TRY(std::shared_ptr<CqlClient> client, co_await cluster_.connect_to(node.known.address, connect_limit, version));
  CO_TRY(const auto reply, co_await client->prepare(options_.statement, core_.executor().now() + connect_limit));
  if (reply.error()) co_return fail(error_of(*reply.error()));
  const auto* prepared = reply.get<wire::Prepared>();
  if (!prepared) co_return fail(ErrorCode::corrupt, "the server answered PREPARE with something else");
  prepared_id_ = prepared->id;
  node.client = std::move(client);
  co_return Status{};
}

Task<void> BatchSender::keep_connected(size_t at) {
  while (true) {
    co_await sleep_for(reconnect_every);
    Node& node = nodes_[at];
    if (!node.client || node.client->closed()) (void)co_await connect(node);
  }
}

BatchSender::Batch BatchSender::begin() const {
  Batch batch;
  batch.envelope.reserve(batch_bytes_max / 4);
  wire::begin_envelope({.version = version, .direction = wire::Direction::request, .opcode = wire::Opcode::batch},
                       batch.envelope);
  ByteWriter writer(batch.envelope);
  writer.u8(static_cast<uint8_t>(wire::BatchType::unlogged));
  writer.u16_be(0);
  return batch;
}

void BatchSender::put(const Row& row, const Run& run, Batch& batch) const {
  ByteWriter writer(batch.envelope);
  writer.u8(prepared_kind);
  writer.u16_be(static_cast<uint16_t>(prepared_id_.size()));
  writer.raw(prepared_id_);
  writer.raw(BytesView(run.values).substr(row.begin, row.size));
  ++batch.rows;
  auto part = std::ranges::find(batch.parts, row.stretch, &BatchPart::stretch);
  if (part == batch.parts.end()) part = batch.parts.insert(part, {row.stretch, 0});
  ++part->rows;
}

std::optional<size_t> BatchSender::add(int64_t token, BytesView values, uint64_t stretch) {
  size_t at = 0;
  if (!ring_.empty()) {
    auto owner = std::ranges::lower_bound(ring_, token, {}, &std::pair<int64_t, uint32_t>::first);
    if (owner == ring_.end()) owner = ring_.begin();
    at = owner->second;
  }
  Run& run = nodes_[at].run;
  run.rows.push_back({token, static_cast<uint32_t>(run.values.size()), static_cast<uint32_t>(values.size()), stretch});
  run.values += values;
  if (run.rows.size() < nodes_[at].run_rows && run.values.size() < run_bytes_max / nodes_.size()) return std::nullopt;
  return at;
}

Task<void> BatchSender::send(size_t at) {
  if (nodes_[at].run.rows.empty()) co_return;
  const Instant begun = core_.executor().now();
  Run run = std::exchange(nodes_[at].run, {});
  std::ranges::sort(run.rows, {}, &Row::token);
  Batch batch = begin();
  for (const Row& row : run.rows) {
    put(row, run, batch);
    if (batch.rows < options_.batch_rows_max && batch.envelope.size() < batch_bytes_max) continue;
    co_await start(at, std::exchange(batch, begin()));
    if (failure_) co_return;
  }
  if (batch.rows > 0) co_await start(at, std::move(batch));
  run.values.clear();
  run.rows.clear();
  nodes_[at].run = std::move(run);
  fit_run(nodes_[at], core_.executor().now() - begun);
}

void BatchSender::fit_run(Node& node, Duration took) const {
  if (took < run_time / 2) node.run_rows = std::min(node.run_rows * 2, run_rows_max / nodes_.size());
  if (took > run_time * 2) node.run_rows /= 2;
  node.run_rows = std::max(node.run_rows, run_rows_min);
}

Task<void> BatchSender::start(size_t at, Batch batch) {
  if (failure_) co_return;
  ByteWriter writer(batch.envelope);
  writer.u16_be(static_cast<uint16_t>(options_.consistency));
  writer.u8(with_timestamp);
  writer.u64_be(static_cast<uint64_t>(options_.timestamp_us));
  batch.envelope[count_offset] = static_cast<char>(batch.rows >> 8);
  batch.envelope[count_offset + 1] = static_cast<char>(batch.rows);
  wire::end_envelope(0, batch.envelope);
  Permits permits;
  permits.batch = co_await batches_.acquire();
  permits.bytes = co_await bytes_.acquire(std::min(batch.envelope.size(), bytes_under_way_max));
  deliveries_.spawn(deliver(at, std::move(batch), std::move(permits)));
  // So that what was started is also sent.
  co_await yield_now();
}

Task<void> BatchSender::send_all() {
  for (size_t i = 0; i < nodes_.size(); ++i) co_await send(i);
}

Task<void> BatchSender::finish() {
  co_await send_all();
  co_await deliveries_.join();
}

BatchSender::Node* BatchSender::choose(size_t first, uint32_t attempt) {
  const Instant now = core_.executor().now();
  Node* avoided = nullptr;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[(first + attempt + i) % nodes_.size()];
    if (!node.client || node.client->closed()) continue;
    if (node.avoid_until <= now) return &node;
    if (!avoided) avoided = &node;
  }
  return avoided;
}

void BatchSender::give_up(Error error) {
  if (!failure_) failure_ = std::move(error);
}

/// False: another attempt may succeed.
Task<bool> BatchSender::attempt(Node& node, const Batch& batch) {
  const auto client = node.client;
  const auto reply = co_await client->call_encoded(batch.envelope, core_.executor().now() + options_.request_limit);
  if (!reply) {
    if (reply.error().code == ErrorCode::timeout) node.avoid_until = core_.executor().now() + avoid_for;
    co_return false;
  }
  const wire::ErrorResponse* error = reply->error();
  if (!error) {
    latest_answer_ = core_.executor().now();
    for (const BatchPart& part : batch.parts) acknowledged_(part);
    co_return true;
  }
  if (error->code == wire::CqlErrorCode::unprepared) {
    const auto prepared = co_await client->prepare(options_.statement, core_.executor().now() + options_.request_limit);
    if (prepared && prepared->error() && !may_succeed_later(prepared->error()->code))
      give_up(error_of(*prepared->error()));
    co_return false;
  }
  if (!may_succeed_later(error->code)) give_up(error_of(*error));
  co_return false;
}

Task<void> BatchSender::deliver(size_t first, Batch batch, [[maybe_unused]] Permits permits) {
  Duration backoff = backoff_least;
  for (uint32_t tried = 0; !failure_; ++tried) {
    if (core_.executor().now() - latest_answer_ > options_.give_up_after) {
      give_up({ErrorCode::unavailable,
               fmt::format("nothing was acknowledged for {} s",
                           std::chrono::duration_cast<std::chrono::seconds>(options_.give_up_after).count())});
      break;
    }
    if (Node* node = choose(first, tried)) {
      if (co_await attempt(*node, batch)) break;
      ++retries_;
    }
    if (failure_) break;
    co_await sleep_for(backoff);
    backoff = std::min(backoff * 2, backoff_most);
  }
}

}  // namespace asterism
