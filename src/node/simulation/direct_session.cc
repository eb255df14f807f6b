#include <algorithm>

#include "base/hash.h"
#include "node/simulation/node_call.h"
#include "node/simulation/session.h"

namespace asterism::simulation {

using datastore::Mutation;
using datastore::ReadCommand;
using datastore::ReadPage;
using datastore::RequestFailure;
using datastore::Schema;
using datastore::TablePtr;
using datastore::TypeKind;

namespace {

Bytes encode_int(int32_t value) {
  Bytes bytes, out;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(value));
  datastore::encode_ordered(TypeKind::int_, bytes, false, out);
  return out;
}

int32_t decode_int(BytesView encoded) {
  ByteReader in(encoded);
  Bytes out;
  ASSERT(datastore::decode_ordered(TypeKind::int_, in, false, out));
  return static_cast<int32_t>(ByteReader(out).u32_be());
}

Answer answer_of(const RequestFailure& failure) {
  Answer answer;
  using Kind = RequestFailure::Kind;
  answer.ending =
      failure.kind == Kind::unavailable || failure.kind == Kind::overloaded ? Ending::refused : Ending::unknown;
  answer.gone = failure.kind == Kind::invalid;
  answer.message = failure.message;
  return answer;
}

Answer answer_of(const Result<Answer>& result) {
  if (result) return *result;
  const Error& error = result.error();
  Answer answer;
  answer.ending = error.code == ErrorCode::unavailable ? Ending::refused : Ending::unknown;
  answer.message = error.to_string();
  return answer;
}

Answer no_table() {
  Answer answer;
  answer.ending = Ending::refused;
  answer.message = "no such table";
  return answer;
}

/// Where the coordinator's clock says that it is.
int64_t seconds_on(NodeProcess& process) { return process.machine().clock().wall_now().us / 1'000'000; }

void expire(datastore::Cell& cell, uint32_t ttl_s, int64_t now_s) {
  cell.kind = datastore::Cell::Kind::expiring;
  cell.ttl_s = ttl_s;
  cell.local_s = now_s + ttl_s;
}

Task<Result<Answer>> write_on(Node& node, NodeProcess& process, Instant deadline, WriteRequest request) {
  TablePtr table = node.schema().table(request.table.keyspace, request.table.table);
  if (!table) co_return no_table();
  Mutation mutation(table->number, murmur3_token(request.key), request.key);
  datastore::Row row;
  if (request.value) {
    datastore::Cell cell;
    cell.column = table->find("v")->id;
    cell.timestamp_us = request.timestamp_us;
    cell.value = *request.value;
    row.has_marker = true;
    row.marker.timestamp_us = request.timestamp_us;
    if (request.ttl_s > 0) {
      expire(cell, request.ttl_s, seconds_on(process));
      expire(row.marker, request.ttl_s, seconds_on(process));
    }
    row.cells.push_back(cell);
  } else {
    row.deletion = {request.timestamp_us, seconds_on(process)};
  }
  mutation.add_row(encode_int(request.clustering), row);
  auto served = co_await node.tables().write(table, std::move(mutation), request.level, deadline);
  if (!served) co_return answer_of(served.error());
  co_return Answer{Ending::done};
}

Task<Result<Answer>> read_on(Node& node, NodeProcess& process, Instant deadline, ReadRequest request,
                             std::vector<SeenRow>& rows) {
  TablePtr table = node.schema().table(request.table.keyspace, request.table.table);
  if (!table) co_return no_table();
  const uint32_t column = table->find("v")->id;
  ReadCommand command;
  command.table = table->number;
  command.token = murmur3_token(request.key);
  command.partition_key = request.key;
  const bool last = request.to == std::numeric_limits<int32_t>::max();
  command.slices = {{encode_int(request.from), last ? Bytes() : encode_int(request.to + 1)}};
  command.reversed = request.reversed;
  command.now_s = seconds_on(process);
  uint32_t left = request.limit == 0 ? UINT32_MAX : request.limit;
  std::vector<SeenRow> seen;
  while (left > 0) {
    command.row_limit = request.page_rows == 0 ? left : std::min(left, request.page_rows);
    auto page = co_await node.tables().read(table, command, request.level, deadline);
    if (!page) co_return answer_of(page.error());
    for (const auto& partition : page->partitions)
      for (const auto& row : partition.rows) {
        SeenRow found{decode_int(row.clustering), {}};
        for (const auto& cell : row.row.cells)
          if (cell.column == column && cell.is_live(command.now_s)) found.value = Bytes(cell.value);
        seen.push_back(std::move(found));
        if (left != UINT32_MAX) --left;
      }
    if (page->complete) break;
    command = datastore::resume(std::move(command), page->next);
  }
  rows = std::move(seen);
  co_return Answer{Ending::done};
}

Task<Result<Answer>> change_schema(Node& node, Instant deadline, Bytes command) {
  auto outcome = co_await node.metadata().propose(Schema::section_name, std::move(command), deadline);
  if (outcome) co_return Answer{Ending::done};
  Answer answer;
  const ErrorCode code = outcome.error().code;
  // Outcomes of commands say that it was applied and changed nothing.
  answer.ending = code == ErrorCode::timeout || code == ErrorCode::closed ? Ending::unknown : Ending::refused;
  answer.message = outcome.error().to_string();
  co_return answer;
}

class DirectSession final : public Session {
 public:
  DirectSession(SimulatedCluster& cluster, uint64_t seed) : cluster_(cluster), random_(seed) { move(); }

  Task<Answer> write(WriteRequest request, Duration limit) override {
    auto result = co_await call_node<Answer>(
        cluster_, node_, limit, [request = std::move(request)](Node& node, NodeProcess& process, Instant deadline) {
          return write_on(node, process, deadline, request);
        });
    co_return finish(answer_of(result));
  }

  Task<Answer> read(ReadRequest request, Duration limit, std::vector<SeenRow>& rows) override {
    // The node's task may outlive this one.
    auto seen = std::make_shared<std::vector<SeenRow>>();
    auto result = co_await call_node<Answer>(
        cluster_, node_, limit,
        [request = std::move(request), seen](Node& node, NodeProcess& process, Instant deadline) {
          return read_on(node, process, deadline, request, *seen);
        });
    rows = std::move(*seen);
    co_return finish(answer_of(result));
  }

  Task<Answer> create_keyspace(std::string name, uint32_t replicas, Duration limit) override {
    return schema(Schema::create_keyspace(keyspace(name, replicas)), limit);
  }
  Task<Answer> alter_keyspace(std::string name, uint32_t replicas, Duration limit) override {
    return schema(Schema::alter_keyspace(keyspace(name, replicas)), limit);
  }
  Task<Answer> create_table(TableName name, Duration limit) override {
    datastore::Table table;
    table.keyspace = name.keyspace;
    table.name = name.table;
    table.id = Bytes(16, '\1');
    table.columns.push_back({0, "k", TypeKind::text, datastore::ColumnKind::partition_key, 0, false});
    table.columns.push_back({0, "c", TypeKind::int_, datastore::ColumnKind::clustering, 0, false});
    table.columns.push_back({0, "v", TypeKind::text, datastore::ColumnKind::regular, 0, false});
    return schema(Schema::create_table(table), limit);
  }
  Task<Answer> drop_table(TableName name, Duration limit) override {
    return schema(Schema::drop_table(name.keyspace, name.table), limit);
  }
  Task<Answer> truncate(TableName name, Duration limit) override {
    return schema(Schema::truncate(name.keyspace, name.table), limit);
  }

  void move() override { node_ = random_.below(cluster_.nodes()); }
  void move_to(size_t node) override { node_ = node; }
  size_t node() const override { return node_; }

 private:
  static datastore::Keyspace keyspace(const std::string& name, uint32_t replicas) {
    return {name, {{"class", "SimpleStrategy"}, {"replication_factor", std::to_string(replicas)}}, true, {}};
  }
  Task<Answer> schema(Bytes command, Duration limit) {
    auto result = co_await call_node<Answer>(
        cluster_, node_, limit, [command = std::move(command)](Node& node, NodeProcess&, Instant deadline) {
          return change_schema(node, deadline, command);
        });
    co_return finish(answer_of(result));
  }
  Answer finish(Answer answer) {
    if (!answer.done()) move();
    return answer;
  }

  SimulatedCluster& cluster_;
  sim::SeededRandom random_;
  size_t node_ = 0;
};

}  // namespace

std::unique_ptr<Session> make_direct_session(SimulatedCluster& cluster, sim::Machine&, uint64_t seed) {
  return std::make_unique<DirectSession>(cluster, seed);
}

static Task<Result<Bytes>> propose_on(Node& node, uint64_t entry, Instant deadline) {
  co_return co_await node.metadata().propose(Journal::section_name, Journal::encode(entry), deadline);
}

Task<Answer> propose_entry(SimulatedCluster& cluster, size_t node, JournalChecker& checker, uint64_t entry,
                           Duration limit) {
  const uint64_t floor = checker.floor();
  auto place = co_await call_node<Bytes>(cluster, node, limit, [entry](Node& on, NodeProcess&, Instant deadline) {
    return propose_on(on, entry, deadline);
  });
  if (place) {
    checker.acknowledged(floor, entry, Journal::decode(*place));
    co_return Answer{Ending::done};
  }
  const bool refused = place.error().code == ErrorCode::unavailable;
  if (refused) checker.refused(entry);
  co_return Answer{refused ? Ending::refused : Ending::unknown, false, place.error().to_string()};
}

Task<Answer> read_entries(SimulatedCluster& cluster, size_t node, JournalChecker& checker, Duration limit) {
  const uint64_t floor = checker.floor();
  auto count = co_await call_node<uint64_t>(
      cluster, node, limit, [](Node& on, NodeProcess& process, Instant deadline) -> Task<Result<uint64_t>> {
        CO_TRY_STATUS(co_await on.metadata().barrier(deadline));
        co_return process.journal().count();
      });
  if (!count) co_return Answer{Ending::unknown, false, count.error().to_string()};
  checker.read(cluster.config(node).name, floor, *count);
  co_return Answer{Ending::done};
}

}  // namespace asterism::simulation
