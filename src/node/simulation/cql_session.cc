#include "datastore/cql/client.h"
#include "node/simulation/session.h"

namespace asterism::simulation {

using cql::CqlClient;
using cql::CqlQueryOptions;
using cql::CqlReply;
using cql::CqlValue;
namespace wire = cql::wire;

namespace {

CqlValue int_value(int32_t value) {
  Bytes bytes;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(value));
  return bytes;
}

CqlValue bigint_value(int64_t value) {
  Bytes bytes;
  ByteWriter(bytes).u64_be(static_cast<uint64_t>(value));
  return bytes;
}

bool says_that_nothing_was_done(const wire::ErrorResponse& error) {
  using Code = wire::CqlErrorCode;
  return error.code == Code::unavailable || error.code == Code::overloaded || error.code == Code::syntax_error ||
         error.code == Code::already_exists || error.code == Code::config_error || error.code == Code::unprepared;
}

Answer answer_of(const wire::ErrorResponse& error) {
  Answer answer;
  answer.message = fmt::format("{:#06x} {}", static_cast<uint32_t>(error.code), error.message);
  answer.exists = error.code == wire::CqlErrorCode::already_exists;
  answer.ending = says_that_nothing_was_done(error) ? Ending::refused : Ending::unknown;
  if (error.code == wire::CqlErrorCode::invalid) {
    // Either this node's plan of the statement fails, or a replica finds that the table went away since.
    answer.gone = error.message.find("was dropped") != std::string::npos;
    answer.no_table = !answer.gone;
    if (answer.no_table) answer.ending = Ending::refused;
  }
  return answer;
}

/// Speaks CQL over the simulated network, by a connection of random version and compression to one node after another.
class CqlSession final : public Session {
 public:
  CqlSession(SimulatedCluster& cluster, sim::Machine& client, uint64_t seed)
      : cluster_(cluster), machine_(client), random_(seed) {
    move();
  }

  Task<Answer> write(WriteRequest request, Duration limit) override {
    CqlQueryOptions options;
    options.consistency = request.level;
    auto [text, prepared, values] = statement_of(request, &options);
    CqlReply reply;
    co_return co_await ask(std::move(text), std::move(values), std::move(options), limit, reply);
  }

  Task<Answer> batch(std::vector<WriteRequest> requests, bool logged, datastore::Consistency level,
                     Duration limit) override {
    CqlQueryOptions options;
    options.consistency = level;
    std::vector<CqlClient::Statement> statements;
    for (const WriteRequest& request : requests) statements.push_back(statement_of(request, nullptr));
    const Instant deadline = machine_.executor().now() + limit;
    if (Status connected = co_await connect(deadline); !connected) co_return not_sent(connected.error());
    CqlReply reply;
    co_return settle(co_await client_->batch(logged ? wire::BatchType::logged : wire::BatchType::unlogged,
                                             std::move(statements), deadline, std::move(options)),
                     reply);
  }

  Task<Answer> read(ReadRequest request, Duration limit, std::vector<SeenRow>& rows) override {
    const std::string columns = request.also.empty() ? "c, v" : "c, v, " + request.also;
    std::string text = fmt::format("SELECT {} FROM {} WHERE k = ?", columns, request.table.to_string());
    std::vector<CqlValue> values{request.key};
    if (request.from == request.to) {
      text += " AND c = ?";
      values.push_back(int_value(request.from));
    } else {
      text += " AND c >= ? AND c <= ?";
      values.push_back(int_value(request.from));
      values.push_back(int_value(request.to));
    }
    if (request.reversed) text += " ORDER BY c DESC";
    if (request.limit > 0) text += fmt::format(" LIMIT {}", request.limit);
    CqlQueryOptions options;
    options.consistency = request.level;
    options.page_size = static_cast<int32_t>(request.page_rows > 0 ? request.page_rows : 1 + random_.below(5000));
    std::vector<SeenRow> seen;
    while (true) {
      CqlReply reply;
      Answer answer = co_await ask(text, values, options, limit, reply);
      if (!answer.done()) co_return answer;
      for (const auto& row : reply.rows())
        seen.push_back({static_cast<int32_t>(ByteReader(*row.at(0)).u32_be()), row.at(1).value_or("(null)"),
                        row.size() > 2 ? row[2].value_or("(null)") : ""});
      const auto* page = reply.get<wire::Rows>();
      if (page == nullptr || !page->metadata.paging_state) break;
      options.paging_state = *page->metadata.paging_state;
    }
    rows = std::move(seen);
    co_return Answer{Ending::done};
  }

  Task<Answer> create_keyspace(std::string name, uint32_t replicas, Duration limit) override {
    return change(fmt::format("CREATE KEYSPACE {} WITH replication = {}", name, replication(replicas)), limit);
  }
  Task<Answer> alter_keyspace(std::string name, uint32_t replicas, Duration limit) override {
    return change(fmt::format("ALTER KEYSPACE {} WITH replication = {}", name, replication(replicas)), limit);
  }
  Task<Answer> create_table(TableName name, Duration limit) override {
    return change(fmt::format("CREATE TABLE {} (k text, c int, v text, PRIMARY KEY (k, c))", name.to_string()), limit);
  }
  Task<Answer> add_column(TableName name, std::string column, Duration limit) override {
    return change(fmt::format("ALTER TABLE {} ADD {} text", name.to_string(), column), limit);
  }
  Task<Answer> drop_table(TableName name, Duration limit) override {
    return change("DROP TABLE " + name.to_string(), limit);
  }
  Task<Answer> truncate(TableName name, Duration limit) override {
    return change("TRUNCATE " + name.to_string(), limit);
  }

  void move() override { move_to(cluster_.some_node(random_)); }
  void move_to(size_t node) override {
    if (node != node_) drop();
    node_ = node;
  }
  size_t node() const override { return node_; }

 private:
  static std::string replication(uint32_t replicas) {
    return fmt::format("{{'class': 'SimpleStrategy', 'replication_factor': {}}}", replicas);
  }

  static CqlClient::Statement deletion_of(const WriteRequest& request) {
    std::string text = fmt::format("DELETE FROM {} USING TIMESTAMP ? WHERE k = ?", request.table.to_string());
    std::vector<CqlValue> values{bigint_value(request.timestamp_us), request.key};
    if (request.scope == WriteRequest::Scope::row) text += " AND c = ?";
    if (request.scope == WriteRequest::Scope::range) text += " AND c >= ? AND c <= ?";
    if (request.scope != WriteRequest::Scope::partition) values.push_back(int_value(request.clustering));
    if (request.scope == WriteRequest::Scope::range) values.push_back(int_value(request.to));
    return {std::move(text), false, std::move(values)};
  }

  /// The timestamp goes to the options, where there are any, or into the text.
  CqlClient::Statement statement_of(const WriteRequest& request, CqlQueryOptions* options) {
    if (!request.value) return deletion_of(request);
    const std::string table = request.table.to_string();
    if (request.ttl_s == 0 && options != nullptr && request.also.empty() && random_.chance(0.3)) {
      options->timestamp_us = request.timestamp_us;
      return {fmt::format("UPDATE {} SET v = ? WHERE k = ? AND c = ?", table),
              false,
              {request.value, request.key, int_value(request.clustering)}};
    }
    std::string columns = "k, c, v", marks = "?, ?, ?", rest;
    std::vector<CqlValue> values{request.key, int_value(request.clustering), request.value};
    if (!request.also.empty()) {
      columns += ", " + request.also;
      marks += ", ?";
      values.emplace_back(*request.value);
    }
    if (options != nullptr && request.ttl_s == 0) {
      options->timestamp_us = request.timestamp_us;
    } else {
      rest = " USING TIMESTAMP ?";
      values.push_back(bigint_value(request.timestamp_us));
    }
    if (request.ttl_s > 0) {
      rest += " AND TTL ?";
      values.push_back(int_value(static_cast<int32_t>(request.ttl_s)));
    }
    return {fmt::format("INSERT INTO {} ({}) VALUES ({}){}", table, columns, marks, rest), false, std::move(values)};
  }

  void drop() {
    prepared_.clear();
    client_.reset();
  }

  Task<Answer> change(std::string text, Duration limit) {
    CqlReply reply;
    co_return co_await ask(std::move(text), {}, {}, limit, reply);
  }

  Task<Status> connect(Instant deadline) {
    if (client_ && !client_->closed()) co_return Status{};
    drop();
    cql::CqlClientOptions options;
    options.version = random_.chance(0.5) ? wire::Version::v4 : wire::Version::v5;
    options.compression = random_.chance(0.5) ? wire::Compression::lz4 : wire::Compression::none;
    CO_TRY(client_, co_await CqlClient::connect(machine_.executor(), machine_.network(), cluster_.config(node_).cql(),
                                                deadline, options));
    co_return Status{};
  }

  /// Text or a prepared statement, as luck has it.
  Task<Result<CqlReply>> send(const std::string& text, const std::vector<CqlValue>& values,
                              const CqlQueryOptions& options, Instant deadline) {
    auto known = prepared_.find(text);
    if (values.empty() || (known == prepared_.end() && random_.chance(0.5)))
      co_return co_await client_->query(text, deadline, values, options);
    if (known == prepared_.end()) {
      CO_TRY(CqlReply reply, co_await client_->prepare(text, deadline));
      const auto* prepared = reply.get<wire::Prepared>();
      if (prepared == nullptr) co_return reply;
      known = prepared_.emplace(text, *prepared).first;
    }
    co_return co_await client_->execute(known->second, values, deadline, options);
  }

  Task<Answer> ask(std::string text, std::vector<CqlValue> values, CqlQueryOptions options, Duration limit,
                   CqlReply& reply) {
    const Instant deadline = machine_.executor().now() + limit;
    if (Status connected = co_await connect(deadline); !connected) co_return not_sent(connected.error());
    co_return settle(co_await send(text, values, options, deadline), reply);
  }

  Answer not_sent(const Error& error) {
    drop();
    move();
    return Answer{Ending::refused, error.to_string()};
  }

  Answer settle(Result<CqlReply> result, CqlReply& reply) {
    if (!result) {
      drop();
      move();
      return Answer{Ending::unknown, result.error().to_string()};
    }
    reply = std::move(*result);
    if (reply.error() == nullptr) return Answer{Ending::done};
    if (reply.error()->code == wire::CqlErrorCode::unprepared) prepared_.clear();
    return answer_of(*reply.error());
  }

  SimulatedCluster& cluster_;
  sim::Machine& machine_;
  sim::SeededRandom random_;
  size_t node_ = SIZE_MAX;
  std::map<std::string, wire::Prepared> prepared_;
  std::unique_ptr<CqlClient> client_;
};

}  // namespace

Session& add_session(SimulatedCluster& cluster, size_t client, uint64_t seed) {
  auto session = std::make_shared<CqlSession>(cluster, cluster.client_machine(client), seed);
  cluster.client(client).keep(session);
  return *session;
}

}  // namespace asterism::simulation
