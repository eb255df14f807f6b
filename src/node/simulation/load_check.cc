// What Load checks of tables that come and go, and of everything at the end.
#include <algorithm>

#include "node/simulation/load.h"
#include "node/simulation/node_call.h"

namespace asterism::simulation {

using datastore::Consistency;

/// Has a node learn of everything that was agreed on.
static Task<bool> catch_up(SimulatedCluster& cluster, size_t node, Duration limit) {
  auto caught = co_await call_node<uint64_t>(cluster, node, limit,
                                             [](Node& on, NodeProcess&, Instant deadline) -> Task<Result<uint64_t>> {
                                               CO_TRY_STATUS(co_await on.metadata().barrier(deadline));
                                               co_return 0;
                                             });
  co_return caught.has_value();
}

/// One table's life: created, written, truncated, dropped. Only this task uses it, and each step waits for the one
/// before, so what each request must see is known unless the fate of an earlier one is not.
Task<void> Load::churn_table(Worker& worker, TableName name) {
  Session& session = *worker.session;
  Answer answer = co_await session.create_table(name, plan_.patience);
  count(answer);
  if (!answer.done()) co_return;
  // A node that has caught up knows the table; so do all replicas that it asks.
  const auto request = [&](int32_t clustering) {
    WriteRequest write{name, "k", clustering, fmt::format("v{}", clustering), timestamp()};
    return write;
  };
  bool widened = false, undecided = false;
  for (int32_t i = 0; i < 4; ++i) {
    if (i == 2 && worker.random.chance(0.5)) {
      answer = co_await session.add_column(name, "also", plan_.patience);
      count(answer);
      widened = answer.done();
    }
    session.move();
    if (!co_await catch_up(cluster_, session.node(), plan_.patience)) continue;
    const size_t by = session.node();
    WriteRequest write = request(i);
    if (widened) write.also = "also";
    answer = co_await session.write(std::move(write), plan_.patience);
    count(answer);
    undecided |= answer.ending == Ending::unknown;
    if (answer.gone || answer.no_table)
      co_return verdict_.fail(fmt::format("{} was created{}, and n{}, which knows that, says: {}", name.to_string(),
                                          widened ? " and got a column" : "", by + 1, answer.message));
  }
  answer = co_await session.truncate(name, plan_.patience);
  count(answer);
  const bool truncated = answer.done();
  session.move();
  if (truncated && co_await catch_up(cluster_, session.node(), plan_.patience)) {
    std::vector<SeenRow> seen;
    const size_t by = session.node();
    answer = co_await session.read({name, "k"}, plan_.patience, seen);
    count(answer);
    // A write that nobody answered may have reached its coordinator after the truncation.
    if (answer.done() && !seen.empty() && !undecided)
      co_return verdict_.fail(fmt::format("{} was truncated and n{}, which knows that, still shows {} rows",
                                          name.to_string(), by + 1, seen.size()));
  }
  if (worker.random.chance(0.7)) count(co_await session.drop_table(name, plan_.patience));
}

Task<bool> Load::read_surely(Session& session, ReadRequest request, std::vector<SeenRow>& rows) {
  std::string why;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Answer answer = co_await session.read(request, 10s, rows);
    count(answer);
    if (answer.done()) co_return true;
    why = answer.message;
    co_await sleep_for(200ms);
  }
  verdict_.fail(
      fmt::format("after everything healed, {} '{}' cannot be read: {}", request.table.to_string(), request.key, why));
  co_return false;
}

Task<void> Load::check_slices(Session& session, const TableName& table, const std::string& key,
                              const std::vector<SeenRow>& all) {
  for (int i = 0; i < 6; ++i) {
    ReadRequest request{table, key};
    request.from = static_cast<int32_t>(random_.below(40));
    request.to = request.from + static_cast<int32_t>(random_.below(40));
    request.reversed = random_.chance(0.5);
    request.limit = random_.chance(0.5) ? 1 + static_cast<uint32_t>(random_.below(20)) : 0;
    request.page_rows = random_.chance(0.7) ? 1 + static_cast<uint32_t>(random_.below(7)) : 0;
    std::vector<SeenRow> expected;
    for (const SeenRow& row : all)
      if (row.clustering >= request.from && row.clustering <= request.to) expected.push_back(row);
    if (request.reversed) std::ranges::reverse(expected);
    if (request.limit > 0 && expected.size() > request.limit) expected.resize(request.limit);
    std::vector<SeenRow> seen;
    if (!co_await read_surely(session, request, seen)) co_return;
    if (seen != expected)
      verdict_.fail(fmt::format("rows {} to {} of {} '{}'{}, limit {}, pages of {}: {} rows came back where {} are due",
                                request.from, request.to, table.to_string(), key, request.reversed ? " reversed" : "",
                                request.limit, request.page_rows, seen.size(), expected.size()));
  }
}

Task<void> Load::check_partition(Session& session, const TableName& table, const std::string& key,
                                 Partition& partition) {
  ReadRequest request{table, key};
  request.level = random_.chance(0.3) ? Consistency::all : Consistency::quorum;
  if (const auto& added = added_columns_[table]; !added.empty()) request.also = added[random_.below(added.size())];
  std::vector<SeenRow> seen;
  if (!co_await read_surely(session, request, seen)) co_return;
  std::map<int32_t, std::string> values;
  for (SeenRow& row : seen) {
    values[row.clustering] = row.value;
    // Every change sets the value, so the change that decides it decides the added column too.
    const auto also = also_.find(row.value);
    if (also != also_.end() && also->second == request.also && row.also != row.value)
      verdict_.fail(fmt::format("after everything healed, {} '{}' row {} holds '{}' and its column {} '{}'",
                                table.to_string(), key, row.clustering, row.value, request.also, row.also));
    row.also.clear();
  }
  const bool expired = table.table == "expiring";
  for (auto& [clustering, row] : partition) {
    std::optional<std::string> value;
    if (auto found = values.find(clustering); found != values.end()) value = found->second;
    auto wrong = expired && !value ? std::nullopt : row.check(row.floor(), value, true);
    if (expired && value) wrong = fmt::format("'{}', which has expired", *value);
    if (wrong)
      verdict_.fail(
          fmt::format("after everything healed, {} '{}' row {} is {}", table.to_string(), key, clustering, *wrong));
    values.erase(clustering);
  }
  if (!values.empty())
    verdict_.fail(fmt::format("after everything healed, {} '{}' holds row {}, which nobody wrote", table.to_string(),
                              key, values.begin()->first));
  if (partition.size() > 10) co_await check_slices(session, table, key, seen);
}

/// A logged batch happened as a whole or not at all.
Task<void> Load::check_batches(Session& session) {
  constexpr size_t most = 30;
  for (size_t i = logged_batches_.size() > most ? logged_batches_.size() - most : 0; i < logged_batches_.size(); ++i) {
    size_t there = 0;
    for (const std::string& key : logged_batches_[i]) {
      std::vector<SeenRow> seen;
      if (!co_await read_surely(session, {{"strong", "batched"}, key}, seen)) co_return;
      there += seen.size();
    }
    if (there != 0 && there != logged_batches_[i].size())
      co_return verdict_.fail(
          fmt::format("after everything healed, {} of {} rows of the logged batch with '{}' are there", there,
                      logged_batches_[i].size(), logged_batches_[i].front()));
  }
}

Task<void> Load::final_check() {
  Session& session = *workers_[0]->session;
  if (!plan_.damage) co_await check_batches(session);
  for (auto& [table, partitions] : tables_)
    for (auto& [key, partition] : partitions) {
      if (partition.empty()) continue;
      if (random_.chance(0.1)) session.move();
      co_await check_partition(session, table, key, partition);
      if (verdict_.failed()) co_return;
    }
  for (size_t node = 0; node < cluster_.nodes(); ++node) {
    if (!cluster_.present(node)) continue;
    session.move_to(node);
    const TableName table{"strong", "rows"};
    WriteRequest write{table, fmt::format("last{}", node), 0, "alive", timestamp(), 0, Consistency::all};
    const Answer answer = co_await session.write(write, 10s);
    if (!answer.done())
      co_return verdict_.fail(
          fmt::format("after everything healed, n{} cannot write at ALL: {}", node + 1, answer.message));
    std::vector<SeenRow> seen;
    session.move_to(cluster_.node_after(node));
    if (!co_await read_surely(session, {table, write.key, 0, 0, false, 0, 0, Consistency::all}, seen)) co_return;
    if (seen.size() != 1) verdict_.fail("after everything healed, a row written at ALL is not there");
    const Answer proposed = co_await propose_entry(cluster_, node, journal_, next_number_++, 10s);
    const Answer read = co_await read_entries(cluster_, node, journal_, 10s);
    if (!proposed.done() || !read.done())
      verdict_.fail(fmt::format("after everything healed, n{} cannot use the metadata log: {} {}", node + 1,
                                proposed.message, read.message));
  }
}

}  // namespace asterism::simulation
