// The operations of a load: what is asked of whom, and what came of it.
#include <algorithm>

#include "base/hash.h"
#include "cli/bench_run.h"
#include "cli/output.h"

namespace asterism {

namespace wire = cql::wire;

namespace {

constexpr Duration request_limit = 10s, pause_without_node = 10ms;
constexpr uint64_t load_errors_max = 10'000;
constexpr uint8_t with_values = 0x01, skip_metadata = 0x02;

Bytes key_bytes(uint64_t key) {
  Bytes out;
  ByteWriter(out).u64_be(key);
  return out;
}

void put_value(ByteWriter& out, BytesView value) {
  out.u32_be(static_cast<uint32_t>(value.size()));
  out.raw(value);
}

}  // namespace

BytesView BenchRun::some_value() const {
  const uint64_t at = core_.random().below(noise_.size() - options_.value_bytes);
  return BytesView(noise_).substr(at, options_.value_bytes);
}

/// An EXECUTE in the form of version 4 of the protocol.
Bytes BenchRun::request(BenchKind kind, uint64_t key, int64_t token) const {
  Bytes bytes;
  bytes.reserve(64 + (kind == BenchKind::write ? options_.value_bytes : 0));
  const size_t begin = wire::begin_envelope(
      {.version = wire::Version::v4, .direction = wire::Direction::request, .opcode = wire::Opcode::execute}, bytes);
  ByteWriter out(bytes);
  const Bytes& id = prepared_[static_cast<size_t>(kind)];
  out.u16_be(static_cast<uint16_t>(id.size()));
  out.raw(id);
  out.u16_be(static_cast<uint16_t>(options_.consistency));
  out.u8(with_values | skip_metadata);
  out.u16_be(kind == BenchKind::write ? 2 : 1);
  put_value(out, key_bytes(kind == BenchKind::scan ? static_cast<uint64_t>(token) : key));
  if (kind == BenchKind::write) put_value(out, some_value());
  wire::end_envelope(begin, bytes);
  return bytes;
}

/// To the node that owns the token, as drivers do; to any where it does not answer. Null where none does.
BenchRun::Connection* BenchRun::choose(int64_t token) {
  size_t node = turn_ % std::max<size_t>(1, nodes_);
  if (!ring_.empty()) {
    auto owner = std::ranges::lower_bound(ring_, token, {}, &std::pair<int64_t, size_t>::first);
    if (owner == ring_.end()) owner = ring_.begin();
    node = owner->second;
  }
  const auto usable = [](const Connection& each) { return each.client && !each.client->closed(); };
  ++turn_;
  // Connections take turns over the nodes.
  const size_t own = connections_.size() / nodes_ + (node < connections_.size() % nodes_ ? 1 : 0);
  if (own > 0)
    if (Connection& wanted = connections_[node + turn_ % own * nodes_]; usable(wanted)) return &wanted;
  for (size_t i = 0; i < connections_.size(); ++i)
    if (Connection& other = connections_[(turn_ + i) % connections_.size()]; usable(other)) return &other;
  return nullptr;
}

BenchKind BenchRun::choose_kind() {
  if (options_.what == "write") return BenchKind::write;
  if (options_.what == "read") return BenchKind::read;
  if (options_.what == "scan") return BenchKind::scan;
  return core_.random().chance(0.5) ? BenchKind::write : BenchKind::read;
}

/// What was wrong with it; "" where nothing was.
std::string BenchRun::problem_of(BenchKind kind, const Result<cql::CqlReply>& reply) {
  if (!reply) return reply.error().code == ErrorCode::timeout ? "no answer within 10 s" : "the connection ended";
  if (const wire::ErrorResponse* error = reply->error()) return cql_error_name(error->code);
  if (kind == BenchKind::write) return "";
  const auto* rows = reply->get<wire::Rows>();
  if (rows == nullptr) return "an answer without rows";
  rows_read_ += rows->row_count;
  if (kind == BenchKind::read && rows->row_count != 1) return "a row was not there";
  return "";
}

Task<void> BenchRun::operate(BenchKind kind, Instant due) {
  const uint64_t key = core_.random().below(options_.rows);
  const int64_t token =
      kind == BenchKind::scan ? static_cast<int64_t>(core_.random().next()) : murmur3_token(key_bytes(key));
  Connection* connection = choose(token);
  if (connection == nullptr) {
    count_error("no node answers");
    co_await sleep_for(pause_without_node);
    co_return;
  }
  const auto client = connection->client;
  ++under_way_;
  const auto reply = co_await client->call_encoded(request(kind, key, token), core_.executor().now() + request_limit);
  --under_way_;
  const std::string problem = problem_of(kind, reply);
  if (!problem.empty()) {
    count_error(problem);
    // A connection that ended fails at once: its node is not asked in a loop.
    if (!reply && client->closed()) co_await sleep_for(pause_without_node);
    co_return;
  }
  figures_[static_cast<size_t>(kind)].record(core_.executor().now() - due);
}

Task<void> BenchRun::work() {
  while (true) {
    Instant due = core_.executor().now();
    if (options_.rate > 0) {
      const double after_s = static_cast<double>(due_) / static_cast<double>(options_.rate);
      due = begun_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(after_s));
      if (due >= end_ || core_.executor().now() >= end_) co_return;
      ++due_;
      if (due > core_.executor().now()) co_await sleep_until(due);
    }
    if (core_.executor().now() >= end_) co_return;
    co_await operate(choose_kind(), due);
  }
}

/// Each row until it is written, or too much fails.
Task<void> BenchRun::load_some() {
  while (next_key_ < options_.rows && !stopping_) {
    const uint64_t key = next_key_++;
    uint64_t failed = 0;
    for (bool done = false; !done && !stopping_;) {
      Connection* connection = choose(murmur3_token(key_bytes(key)));
      std::string problem = "no node answers";
      if (connection != nullptr) {
        const auto client = connection->client;
        const auto reply =
            co_await client->call_encoded(request(BenchKind::write, key, 0), core_.executor().now() + request_limit);
        problem = problem_of(BenchKind::write, reply);
      }
      done = problem.empty();
      if (done) continue;
      count_error(problem);
      if (++failed > load_errors_max / 100) co_return;
      co_await sleep_for(pause_without_node * 10);
    }
    if (!stopping_) ++loaded_;
  }
}

Task<void> BenchRun::show_regularly() {
  if (options_.json) co_return;
  BenchFigures before;
  for (uint32_t second = 1; !stopping_; ++second) {
    co_await sleep_until(begun_ + std::chrono::seconds(second));
    const BenchFigures now = all();
    const LatencyHistogram lately = now.time.since(before.time);
    uint64_t errors = 0;
    for (const auto& [what, count] : errors_) errors += count;
    const auto ms = [&](double q) { return std::chrono::duration<double, std::milli>(lately.quantile(q)).count(); };
    (void)write_descriptor(2, fmt::format("{:4} s{:>11} ops/s   p50 {:7.2f} ms   p99 {:7.2f} ms   errors {}\n", second,
                                          with_commas(lately.count()), ms(0.5), ms(0.99), with_commas(errors)));
    before = now;
    if (core_.executor().now() >= end_) co_return;
  }
}

}  // namespace asterism
