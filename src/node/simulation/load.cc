#include "node/simulation/load.h"

#include <algorithm>
#include <array>

#include "runtime/timeout.h"

namespace asterism::simulation {

using datastore::Consistency;

static const TableName registers{"strong", "registers"}, rows{"strong", "rows"}, deletes{"strong", "deletes"},
    wide{"strong", "wide"}, expiring{"strong", "expiring"}, batched{"strong", "batched"}, weak{"weak", "rows"},
    growing{"growing", "rows"};
constexpr int32_t wide_rows = 60;
constexpr uint32_t ttl_most_s = 5, ttl_long_s = 1'000'000;
constexpr Duration set_up_limit = 60s;

LoadPlan LoadPlan::from(Random& random, uint32_t nodes, bool damage) {
  LoadPlan plan;
  plan.workers = static_cast<uint32_t>(random.between(4, 12));
  plan.think_most = Duration(random.between(20'000'000, 160'000'000));
  plan.patience = Duration(random.between(500'000'000, 4'000'000'000));
  plan.replicas = std::min(nodes, 3u);
  const auto weight = [&](uint32_t most) {
    return random.chance(0.75) ? static_cast<uint32_t>(random.below(most + 1)) : 0;
  };
  plan.registers = 1 + weight(6);
  plan.rows = 1 + weight(4);
  plan.deletes = weight(4);
  plan.wide = weight(3);
  // What lies on one disk only may be lost with that disk.
  plan.weak = damage ? 0 : weight(5);
  plan.weak_replicas = static_cast<uint32_t>(random.between(1, std::min(nodes, 3u)));
  plan.growing = weight(2);
  plan.growing_from = damage ? 2 : 1;
  plan.growing_to = static_cast<uint32_t>(random.between(plan.growing_from, std::min(nodes, 5u)));
  plan.expiring = weight(1);
  plan.batches = weight(2);
  plan.columns = static_cast<uint32_t>(random.below(4));
  plan.damage = damage;
  plan.journal = random.chance(0.3) ? 12 : weight(2);
  plan.churn = random.chance(0.5) ? static_cast<uint32_t>(random.between(1, 2)) : 0;
  return plan;
}

std::string LoadPlan::describe() const {
  return fmt::format(
      "{} workers, think {} ms at most, patience {} ms, {} replicas; registers {}, rows {}, deletes {}, wide {}, weak "
      "{} "
      "on {} replicas, growing {} from {} to {} replicas, expiring {}, batches {}, columns {}, "
      "journal {}, churn {}",
      workers, think_most.count() / 1'000'000, patience.count() / 1'000'000, replicas, registers, rows, deletes, wide,
      weak, weak_replicas, growing, growing_from, growing_to, expiring, batches, columns, journal, churn);
}

Load::Load(SimulatedCluster& cluster, JournalChecker& journal, Verdict& verdict, LoadPlan plan)
    : cluster_(cluster), journal_(journal), verdict_(verdict), plan_(plan), random_(cluster.simulation().stream(77)) {
  const uint32_t count = plan_.workers + plan_.churn + 2;
  for (uint32_t i = 0; i < count; ++i) {
    auto worker = std::make_unique<Worker>();
    worker->random = sim::SeededRandom(random_.next());
    worker->session = &add_session(cluster_, i % cluster_.clients(), worker->random.next());
    workers_.push_back(std::move(worker));
  }
}

int64_t Load::timestamp() {
  const int64_t now_us = cluster_.simulation().options().epoch.us + cluster_.simulation().now().ns / 1000;
  return latest_timestamp_us_ = std::max(latest_timestamp_us_ + 1, now_us);
}

void Load::count(const Answer& answer) {
  ++operations_;
  refusals_ += answer.ending == Ending::refused;
  unknowns_ += answer.ending == Ending::unknown;
}

Task<bool> Load::until_done(Session& session, const std::function<Task<Answer>()>& request, Duration limit) {
  const Instant until = cluster_.simulation().now() + limit;
  while (cluster_.simulation().now() < until) {
    const Answer answer = co_await request();
    count(answer);
    if (answer.done() || answer.exists) co_return true;
    session.move();
    co_await sleep_for(100ms);
  }
  co_return false;
}

Task<void> Load::set_up() {
  Session& session = *workers_[0]->session;
  const std::vector<std::pair<std::string, uint32_t>> keyspaces = {
      {"strong", plan_.replicas}, {"weak", plan_.weak_replicas}, {"growing", plan_.growing_from}};
  for (const auto& [name, replicas] : keyspaces) {
    const auto create = [&session, name, replicas] { return session.create_keyspace(name, replicas, 5s); };
    if (!co_await until_done(session, create, set_up_limit)) co_return verdict_.fail("keyspaces cannot be created");
  }
  const std::array<TableName, 8> tables{registers, rows, deletes, wide, expiring, batched, weak, growing};
  for (const TableName& table : tables) {
    const auto create = [&session, table] { return session.create_table(table, 5s); };
    if (!co_await until_done(session, create, set_up_limit)) co_return verdict_.fail("tables cannot be created");
  }
}

void Load::start() {
  for (size_t i = 0; i < workers_.size(); ++i) {
    sim::Machine& machine = cluster_.client_machine(i % cluster_.clients());
    Worker& worker = *workers_[i];
    ++working_;
    if (i < plan_.workers) {
      machine.spawn(work(worker));
    } else if (i < plan_.workers + plan_.churn) {
      machine.spawn(churn(worker, static_cast<uint32_t>(i)));
    } else {
      machine.spawn(i + 1 < workers_.size() ? grow(worker) : add_columns(worker));
    }
  }
}

Load::Kind Load::choose(sim::SeededRandom& random) const {
  const std::array<uint32_t, static_cast<size_t>(Kind::count_)> weights{plan_.registers, plan_.rows,    plan_.deletes,
                                                                        plan_.wide,      plan_.weak,    plan_.growing,
                                                                        plan_.expiring,  plan_.batches, plan_.journal};
  uint32_t sum = 0;
  for (uint32_t weight : weights) sum += weight;
  auto left = static_cast<uint32_t>(random.below(sum));
  size_t kind = 0;
  while (left >= weights[kind]) left -= weights[kind++];
  return static_cast<Kind>(kind);
}

Task<void> Load::work(Worker& worker) {
  while (!stopping_ && !verdict_.failed()) {
    co_await one(worker, choose(worker.random));
    co_await sleep_for(sim::random_between(worker.random, 0ns, plan_.think_most));
    if (worker.random.chance(0.05)) worker.session->move();
  }
  --working_;
}

std::string Load::some_key(sim::SeededRandom& random, const TableName& table) {
  const auto& known = keys_[table];
  if (known.empty()) return "none";
  return known[random.below(known.size())];
}

Task<void> Load::one(Worker& worker, Kind kind) {
  sim::SeededRandom& random = worker.random;
  const double luck = random.unit();
  const Consistency level = random.chance(0.1) ? Consistency::all : Consistency::quorum;
  const auto insert = [&](TableName table, Consistency at, uint32_t ttl_s = 0) {
    std::string key = fmt::format("k{}", next_number_++);
    keys_[table].push_back(key);
    return write(worker, std::move(table), std::move(key), 0, false, at, ttl_s);
  };
  switch (kind) {
    case Kind::registers: {
      const std::string key = fmt::format("r{}", random.below(6));
      if (luck < 0.5) co_return co_await read(worker, {registers, key, 0, 0, false, 0, 0, level}, true);
      co_return co_await write(worker, registers, key, 0, luck > 0.95, level);
    }
    case Kind::rows:
      if (luck < 0.3) co_return co_await read(worker, {rows, some_key(random, rows), 0, 0, false, 0, 0, level}, true);
      co_return co_await insert(rows, level);
    case Kind::deletes: {
      const std::string key = fmt::format("d{}", random.below(20));
      const auto clustering = static_cast<int32_t>(random.below(3));
      if (luck < 0.3) co_return co_await read(worker, {deletes, key, clustering, clustering, false, 0, 0, level}, true);
      if (luck > 0.95) co_return co_await erase(worker, deletes, key, 0, 2, 2, level);
      co_return co_await write(worker, deletes, key, clustering, luck > 0.65, level);
    }
    case Kind::wide:
      co_return co_await one_wide(worker, luck, level);
    case Kind::weak:
      if (luck < 0.1)
        co_return co_await read(worker, {weak, some_key(random, weak), 0, 0, false, 0, 0, Consistency::one}, false);
      co_return co_await insert(weak, random.chance(0.5) ? Consistency::any : Consistency::one);
    case Kind::growing:
      co_return co_await insert(growing, Consistency::quorum);
    case Kind::expiring:
      co_return co_await insert(expiring, level, 1 + static_cast<uint32_t>(random.below(ttl_most_s)));
    case Kind::batches:
      if (luck < 0.2)
        co_return co_await read(worker, {batched, some_key(random, batched), 0, 0, false, 0, 0, level}, true);
      co_return co_await batch(worker, level);
    case Kind::journal:
      co_return co_await journal_request(worker);
    case Kind::count_:
      break;
  }
}

Task<void> Load::one_wide(Worker& worker, double luck, Consistency level) {
  sim::SeededRandom& random = worker.random;
  const std::string key = fmt::format("w{}", random.below(2));
  const auto one = static_cast<int32_t>(random.below(wide_rows)), other = static_cast<int32_t>(random.below(wide_rows));
  const int32_t from = std::min(one, other), to = std::max(one, other);
  if (luck < 0.2)
    co_return co_await read(worker,
                            {wide, key, from, to, random.chance(0.3), 0,
                             static_cast<uint32_t>(random.chance(0.5) ? 1 + random.below(20) : 0), level},
                            true);
  if (luck > 0.98) co_return co_await erase(worker, wide, key, 0, wide_rows - 1, wide_rows - 1, level);
  if (luck > 0.92) co_return co_await erase(worker, wide, key, from, std::min(to, from + 10), wide_rows - 1, level);
  co_await write(worker, wide, key, one, luck > 0.85, level);
}

std::string Load::some_value(Worker& worker, int64_t timestamp_us) {
  const uint64_t padding = worker.random.chance(0.1) ? worker.random.below(2000) : worker.random.below(40);
  return fmt::format("{}{}", timestamp_us, std::string(padding, '.'));
}

Task<void> Load::write(Worker& worker, TableName table, std::string key, int32_t clustering, bool erase,
                       Consistency level, uint32_t ttl_s) {
  WriteRequest request;
  request.timestamp_us = timestamp();
  request.level = level;
  // Some live for so long that they are there at the end.
  request.ttl_s = ttl_s == 0 && worker.random.chance(0.1) ? ttl_long_s : ttl_s;
  if (!erase) request.value = some_value(worker, request.timestamp_us);
  if (const auto& added = added_columns_[table]; !erase && !added.empty() && worker.random.chance(0.5)) {
    request.also = added[worker.random.below(added.size())];
    also_[*request.value] = request.also;
  }
  request.table = table;
  request.key = key;
  request.clustering = clustering;
  RowHistory& row = tables_[table][key][clustering];
  row.begin(request.timestamp_us, request.value);
  const int64_t at = request.timestamp_us;
  const Answer answer = co_await worker.session->write(std::move(request), plan_.patience);
  row.end(at, answer.ending);
  count(answer);
  if (answer.gone) verdict_.fail(fmt::format("{} is said not to exist: {}", table.to_string(), answer.message));
}

Task<void> Load::erase(Worker& worker, TableName table, std::string key, int32_t from, int32_t to, int32_t last,
                       Consistency level) {
  WriteRequest request{table, key, from};
  request.timestamp_us = timestamp();
  request.level = level;
  const bool whole = from == 0 && to == last;
  request.scope = whole && worker.random.chance(0.7) ? WriteRequest::Scope::partition : WriteRequest::Scope::range;
  request.to = to;
  Partition& partition = tables_[table][key];
  const int64_t at = request.timestamp_us;
  for (int32_t row = from; row <= to; ++row) partition[row].begin(at, std::nullopt);
  const Answer answer = co_await worker.session->write(std::move(request), plan_.patience);
  for (int32_t row = from; row <= to; ++row) partition[row].end(at, answer.ending);
  count(answer);
}

/// New rows of several partitions, and one of a partition that others change too.
Task<void> Load::batch(Worker& worker, Consistency level) {
  const bool logged = worker.random.chance(0.6);
  std::vector<WriteRequest> requests;
  std::vector<std::string> keys;
  for (uint64_t i = 0, size = 2 + worker.random.below(4); i < size; ++i) {
    WriteRequest& request = requests.emplace_back();
    request.timestamp_us = timestamp();
    if (i == 0) {
      request.table = wide;
      request.key = fmt::format("w{}", worker.random.below(2));
      request.clustering = static_cast<int32_t>(worker.random.below(wide_rows));
    } else {
      request.table = batched;
      request.key = fmt::format("b{}", next_number_++);
      keys.push_back(request.key);
      keys_[batched].push_back(request.key);
    }
    if (i > 0 || worker.random.chance(0.7)) request.value = some_value(worker, request.timestamp_us);
    tables_[request.table][request.key][request.clustering].begin(request.timestamp_us, request.value);
  }
  if (logged) logged_batches_.push_back(std::move(keys));
  const Answer answer = co_await worker.session->batch(requests, logged, level, plan_.patience);
  for (const WriteRequest& request : requests)
    tables_[request.table][request.key][request.clustering].end(request.timestamp_us, answer.ending);
  count(answer);
}

/// Adds columns to tables that are in use; from then on some writes set them as well.
Task<void> Load::add_columns(Worker& worker) {
  for (uint32_t i = 0; i < plan_.columns && !stopping_ && !verdict_.failed(); ++i) {
    co_await sleep_for(sim::random_between(worker.random, 500ms, 5s));
    const TableName table = worker.random.chance(0.5) ? registers : wide;
    const std::string column = fmt::format("e{}", i);
    const Answer answer = co_await worker.session->add_column(table, column, plan_.patience);
    count(answer);
    if (answer.done()) added_columns_[table].push_back(column);
  }
  --working_;
}

Task<void> Load::read(Worker& worker, ReadRequest request, bool strong) {
  Partition& partition = tables_[request.table][request.key];
  std::map<int32_t, int64_t> floors;
  for (auto it = partition.lower_bound(request.from); it != partition.end() && it->first <= request.to; ++it)
    floors[it->first] = strong ? it->second.floor() : 0;
  std::vector<SeenRow> seen;
  const Answer answer = co_await worker.session->read(request, plan_.patience, seen);
  count(answer);
  if (!answer.done()) co_return;
  std::map<int32_t, std::string> values;
  for (SeenRow& row : seen) values[row.clustering] = std::move(row.value);
  for (auto it = partition.lower_bound(request.from); it != partition.end() && it->first <= request.to; ++it) {
    std::optional<std::string> value;
    if (auto found = values.find(it->first); found != values.end()) value = std::move(found->second);
    values.erase(it->first);
    if (!value && !strong) continue;
    if (request.table == expiring && !value) continue;
    auto wrong = it->second.check(floors[it->first], value, strong);
    if (wrong)
      verdict_.fail(fmt::format("a read of {} '{}' row {} by way of n{} saw {}", request.table.to_string(), request.key,
                                it->first, worker.session->node() + 1, *wrong));
  }
  if (!values.empty())
    verdict_.fail(fmt::format("a read of {} '{}' saw row {}, which nobody wrote", request.table.to_string(),
                              request.key, values.begin()->first));
}

Task<void> Load::journal_request(Worker& worker) {
  const size_t node = cluster_.some_node(worker.random);
  count(worker.random.chance(0.5) ? co_await propose_entry(cluster_, node, journal_, next_number_++, plan_.patience)
                                  : co_await read_entries(cluster_, node, journal_, plan_.patience));
}

/// Raises the replication factor of "growing" once.
Task<void> Load::grow(Worker& worker) {
  co_await sleep_for(sim::random_between(worker.random, 1s, 8s));
  while (plan_.growing_to > plan_.growing_from && !stopping_ && !verdict_.failed()) {
    const Answer answer = co_await worker.session->alter_keyspace("growing", plan_.growing_to, plan_.patience);
    count(answer);
    if (answer.done()) break;
    co_await sleep_for(200ms);
  }
  --working_;
}

Task<void> Load::churn(Worker& worker, uint32_t number) {
  for (uint32_t i = 0; !stopping_ && !verdict_.failed(); ++i) {
    co_await churn_table(worker, {"strong", fmt::format("t{}_{}", number, i)});
    co_await sleep_for(sim::random_between(worker.random, 10ms, 500ms));
  }
  --working_;
}

}  // namespace asterism::simulation
