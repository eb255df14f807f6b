// Before and after the operations of a load: connections, tables, and what is said of it.
#include "cli/bench_run.h"

#include <algorithm>
#include <boost/json.hpp>

#include "cli/output.h"
#include "datastore/cql/parser.h"

namespace asterism {

namespace wire = cql::wire;

namespace {

constexpr wire::Version version = wire::Version::v4;
constexpr Duration connect_limit = 5s, schema_limit = 20s, reconnect_every = 250ms;
constexpr Duration last_answers = 2s;  // that are waited for behind the end
constexpr Duration load_limit = std::chrono::hours(24);
constexpr uint32_t load_concurrency = 256;
constexpr size_t noise_bytes = 1 << 20;

std::string comment_of(const BenchOptions& options) {
  return fmt::format("{} rows of {} bytes", options.rows, options.value_bytes);
}

double ms_of(Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::string time_text(Duration time) {
  const double ms = ms_of(time);
  return ms < 10     ? fmt::format("{:.2f} ms", ms)
         : ms < 1000 ? fmt::format("{:.1f} ms", ms)
                     : fmt::format("{:.2f} s", ms / 1000);
}

}  // namespace

const char* to_string(BenchKind kind) {
  switch (kind) {
    case BenchKind::write:
      return "write";
    case BenchKind::read:
      return "read";
    case BenchKind::scan:
      break;
  }
  return "scan";
}

BenchFigures& BenchFigures::operator+=(const BenchFigures& other) {
  time += other.time;
  slowest = std::max(slowest, other.slowest);
  return *this;
}

BenchRun::BenchRun(RealCore& core, const BenchOptions& options)
    : core_(core),
      options_(options),
      bar_(!options.json),
      patience_(core.executor()),
      workers_(core.executor()),
      tasks_(core.executor()) {
  noise_.reserve(noise_bytes + options.value_bytes);
  while (noise_.size() < noise_bytes + options.value_bytes) ByteWriter(noise_).u64_le(core.random().next());
}

BenchRun::~BenchRun() {
  workers_.cancel();
  tasks_.cancel();
}

void BenchRun::interrupt() {
  stopping_ = true;
  end_ = std::min(end_, core_.executor().now());
  if (patience_.armed()) await_last_answers();
}

/// Again where the end comes earlier.
void BenchRun::await_last_answers() {
  patience_.arm(end_ + last_answers, [this] { end_measuring_.send({}); });
}

Task<Status> BenchRun::run() {
  CO_TRY(cluster_, CqlCluster::open(core_, options_.access));
  // With an address the folder is another cluster's, as far as anybody knows.
  load_ = std::make_unique<ServerLoad>(core_, options_.access.address.empty() ? options_.access.data : "");
  CO_TRY_STATUS(co_await connect());
  Status done = co_await make_tables();
  if (done) {
    for (Connection& connection : connections_) {
      // A node that does not answer is none to ask now; it is tried again.
      const Status opened = co_await open_connection(connection);
      if (!opened && opened.error().code == ErrorCode::invalid_argument) done = opened;
      tasks_.spawn(keep_connected(connection));
    }
    const auto open = [](const Connection& connection) { return connection.client != nullptr; };
    if (done && std::ranges::none_of(connections_, open)) done = fail(ErrorCode::unavailable, "no node answers");
  }
  if (done && reads()) done = co_await load();
  if (done) done = co_await measure();
  bar_.clear();
  if (!options_.keep) co_await drop_tables();
  co_return done;
}

Task<Status> BenchRun::connect() {
  CO_TRY(const auto client, co_await cluster_->connect(connect_limit, version));
  CO_TRY(const auto ring, co_await read_ring(*client, cluster_->nodes(), core_.executor().now() + schema_limit));
  nodes_ = ring.size();
  for (size_t i = 0; i < nodes_; ++i)
    for (int64_t token : ring[i].tokens) ring_.emplace_back(token, i);
  std::ranges::sort(ring_);
  const size_t wanted = options_.connections > 0 ? options_.connections : 2 * nodes_;
  for (size_t i = 0; i < wanted; ++i) connections_.push_back({ring[i % nodes_].address, nullptr});
  co_return Status{};
}

/// And prepares what it will run there.
Task<Status> BenchRun::open_connection(Connection& connection) {
  CO_TRY(std::shared_ptr<cql::CqlClient> client,
         co_await cluster_->connect_to(connection.address, connect_limit, version));
  const std::string table = fmt::format("{}.rows", keyspace);
  const std::array<std::string, bench_kinds> texts{
      fmt::format("INSERT INTO {} (key, value) VALUES (?, ?)", table),
      fmt::format("SELECT key, value FROM {} WHERE key = ?", table),
      fmt::format("SELECT key, value FROM {} WHERE token(key) >= ? LIMIT {}", table, scan_rows)};
  for (size_t i = 0; i < bench_kinds; ++i) {
    CO_TRY(const auto reply, co_await client->prepare(texts[i], core_.executor().now() + connect_limit));
    if (reply.error()) co_return fail(error_of(*reply.error()));
    const auto* prepared = reply.get<wire::Prepared>();
    if (!prepared) co_return fail(ErrorCode::corrupt, "the server answered PREPARE with something else");
    prepared_[i] = prepared->id;
  }
  connection.client = std::move(client);
  co_return Status{};
}

Task<void> BenchRun::keep_connected(Connection& connection) {
  while (true) {
    co_await sleep_for(reconnect_every);
    if (!connection.client || connection.client->closed()) (void)co_await open_connection(connection);
  }
}

/// Of the schema, by a connection of its own.
Task<Status> BenchRun::statement(std::string text) {
  CO_TRY(const auto client, co_await cluster_->connect(connect_limit, version));
  CO_TRY(const auto reply, co_await client->query(std::move(text), core_.executor().now() + schema_limit));
  if (reply.error()) co_return fail(error_of(*reply.error()));
  co_return Status{};
}

Task<Status> BenchRun::make_tables() {
  const size_t replicas = options_.replication > 0 ? options_.replication : std::min<size_t>(3, nodes_);
  CO_TRY_STATUS(co_await statement(
      fmt::format("CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {{'class': 'NetworkTopologyStrategy', "
                  "'replication_factor': {}}}",
                  keyspace, replicas)));
  CO_TRY_STATUS(
      co_await statement(fmt::format("ALTER KEYSPACE {} WITH durable_writes = {}", keyspace, !options_.relaxed)));
  co_return co_await statement(
      fmt::format("CREATE TABLE IF NOT EXISTS {}.rows (key bigint PRIMARY KEY, value blob)", keyspace));
}

Task<void> BenchRun::drop_tables() {
  const Status dropped = co_await statement(fmt::format("DROP KEYSPACE IF EXISTS {}", keyspace));
  if (!dropped) print_error(fmt::format("keyspace {} stays: {}", keyspace, dropped.error().message));
}

/// What is to be read, unless an earlier run with --keep left it: the table's comment says what is in it.
Task<Status> BenchRun::load() {
  {
    CO_TRY(const auto client, co_await cluster_->connect(connect_limit, version));
    CO_TRY(const auto rows,
           co_await client->query_all(fmt::format("SELECT comment FROM system_schema.tables WHERE keyspace_name = '{}' "
                                                  "AND table_name = 'rows'",
                                                  keyspace),
                                      core_.executor().now() + schema_limit));
    if (rows.size() == 1 && rows[0].size() == 1 && rows[0][0] == comment_of(options_)) co_return Status{};
  }
  end_ = core_.executor().now() + load_limit;
  for (uint32_t i = 0; i < load_concurrency; ++i) workers_.spawn(load_some());
  tasks_.spawn([](BenchRun& self) -> Task<void> {
    while (self.loaded_ < self.options_.rows && !self.stopping_) {
      co_await sleep_for(200ms);
      self.bar_.show(static_cast<double>(self.loaded_) / static_cast<double>(self.options_.rows),
                     fmt::format("loading {} rows", with_commas(self.options_.rows)));
    }
  }(*this));
  co_await workers_.join();
  bar_.clear();
  if (loaded_ < options_.rows)
    co_return fail(stopping_ ? ErrorCode::closed : ErrorCode::unavailable, "{} while rows were loaded: {} of {} were",
                   stopping_ ? "interrupted" : "too many errors", loaded_, options_.rows);
  co_return co_await statement(
      fmt::format("ALTER TABLE {}.rows WITH comment = {}", keyspace, cql::quote_string(comment_of(options_))));
}

Task<Status> BenchRun::measure() {
  if (stopping_) co_return fail(ErrorCode::closed, "interrupted before it began");
  errors_.clear();
  co_await load_->begin();
  begun_ = core_.executor().now();
  end_ = begun_ + std::chrono::seconds(options_.seconds);
  for (uint32_t i = 0; i < options_.concurrency; ++i) workers_.spawn(work());
  tasks_.spawn(show_regularly());
  end_measuring_ = over_.sender();
  tasks_.spawn([](BenchRun& self) -> Task<void> {
    co_await self.workers_.join();
    self.end_measuring_.send({});
  }(*this));
  await_last_answers();
  (void)co_await over_.receive();
  patience_.cancel();
  ended_ = std::min(core_.executor().now(), end_);
  unanswered_ = under_way_;
  workers_.cancel();
  if (options_.rate > 0) {
    const double seconds = static_cast<double>((ended_ - begun_).count()) * 1e-9;
    const auto due = static_cast<uint64_t>(seconds * static_cast<double>(options_.rate));
    late_ = due > due_ ? due - due_ : 0;
  }
  if (unanswered_ > 0) errors_[fmt::format("no answer within {} s of the end", last_answers / 1s)] += unanswered_;
  if (load_->size() > 0) used_ = co_await load_->end();
  co_return Status{};
}

BenchFigures BenchRun::all() const {
  BenchFigures sum;
  for (const BenchFigures& each : figures_) sum += each;
  return sum;
}

namespace {

boost::json::object json_of(const BenchFigures& figures, double seconds) {
  const auto ms = [&](double q) { return ms_of(std::min(figures.time.quantile(q), figures.slowest)); };
  return {{"operations", figures.time.count()},
          {"ops_per_s", static_cast<double>(figures.time.count()) / seconds},
          {"p50_ms", ms(0.5)},
          {"p95_ms", ms(0.95)},
          {"p99_ms", ms(0.99)},
          {"p999_ms", ms(0.999)},
          {"max_ms", ms_of(figures.slowest)}};
}

std::string line_of(const char* name, const BenchFigures& figures, double seconds) {
  const auto at = [&](double q) { return time_text(std::min(figures.time.quantile(q), figures.slowest)); };
  return fmt::format("  {:8}{:>13}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}\n", name, with_commas(figures.time.count()),
                     with_commas(static_cast<uint64_t>(static_cast<double>(figures.time.count()) / seconds)), at(0.5),
                     at(0.95), at(0.99), at(0.999), time_text(figures.slowest));
}

}  // namespace

std::string BenchRun::summary() const {
  const double seconds = std::max(1e-3, static_cast<double>((ended_ - begun_).count()) * 1e-9);
  const BenchFigures sum = all();
  uint64_t errors = 0;
  boost::json::object by_kind, kinds;
  for (const auto& [what, count] : errors_) {
    errors += count;
    by_kind[what] = count;
  }
  for (size_t i = 0; i < bench_kinds; ++i)
    if (figures_[i].time.count() > 0) kinds[to_string(static_cast<BenchKind>(i))] = json_of(figures_[i], seconds);
  const bool known = used_ && used_->nodes > 0 && sum.time.count() > 0;
  const double cpu_us =
      known ? std::chrono::duration<double, std::micro>(used_->time).count() / static_cast<double>(sum.time.count())
            : 0;
  if (options_.json) {
    boost::json::object out = json_of(sum, seconds);
    out["event"] = "bench";
    out["what"] = options_.what;
    out["seconds"] = seconds;
    out["errors"] = errors;
    out["errors_by_kind"] = std::move(by_kind);
    out["kinds"] = std::move(kinds);
    out["rows_read"] = rows_read_;
    out["rate"] = options_.rate;
    out["durability"] = options_.relaxed ? "relaxed" : "synced";
    out["not_begun"] = late_;
    out["cpu_us_per_operation"] = known ? boost::json::value(cpu_us) : boost::json::value();
    out["cpu_nodes"] = used_ ? used_->nodes : 0;
    return boost::json::serialize(out);
  }
  std::string text = fmt::format(
      "{} for {:.1f} s: {} at once over {} connections to {} nodes, {}, {}, {} rows of {} bytes\n", options_.what,
      seconds, options_.concurrency, connections_.size(), nodes_, wire::to_string(options_.consistency),
      options_.relaxed ? "relaxed" : "synced", with_commas(options_.rows), options_.value_bytes);
  text += dim(fmt::format("  {:8}{:>13}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}", "", "operations", "ops/s", "p50", "p95",
                          "p99", "p99.9", "max")) +
          "\n";
  for (size_t i = 0; i < bench_kinds; ++i)
    if (figures_[i].time.count() > 0 && kinds.size() > 1)
      text += line_of(to_string(static_cast<BenchKind>(i)), figures_[i], seconds);
  text += line_of(kinds.size() > 1 ? "all" : options_.what.c_str(), sum, seconds);
  text += fmt::format("  errors  {:>13}\n", with_commas(errors));
  for (const auto& [what, count] : errors_) text += fmt::format("    {} {}\n", with_commas(count), what);
  if (options_.rate > 0)
    text += late_ == 0 ? fmt::format("  the rate of {} a second was held; times count from when each was due\n",
                                     with_commas(options_.rate))
                       : fmt::format("  the rate of {} a second was not held: {} operations were due and not begun\n",
                                     with_commas(options_.rate), with_commas(late_));
  text += known ? fmt::format("  processors of {} of {} servers: {:.1f} µs an operation", used_->nodes, load_->size(),
                              cpu_us)
                : std::string("  processors of the servers: not known, because their HTTP is not reached");
  return text;
}

}  // namespace asterism
