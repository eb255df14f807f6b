#include "node/backup_requests.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/hash.h"
#include "gateway/scram.h"
#include "node/node_host.h"
#include "node/request_parts.h"
#include "node/snapshots.h"
#include "runtime/task_group.h"

namespace asterism {

namespace {

constexpr Duration decide_limit = 20s, write_limit = 10s;
constexpr size_t mutations_in_turn = 256;

Result<std::string> name_in(const HttpRequest& request) {
  boost::json::error_code bad;
  const boost::json::value body = boost::json::parse(request.body, bad);
  const boost::json::value* name = !bad && body.is_object() ? body.get_object().if_contains("name") : nullptr;
  if (name == nullptr || !name->is_string()) return fail(ErrorCode::corrupt, "the request must have a text name");
  return std::string(name->get_string());
}

std::optional<datastore::Consistency> level_in(const HttpRequest& request) {
  const std::string* wanted = request.parameter("consistency");
  if (wanted == nullptr) return datastore::Consistency::quorum;
  for (uint16_t number = 0; number <= static_cast<uint16_t>(datastore::Consistency::local_one); ++number)
    if (const auto level = static_cast<datastore::Consistency>(number); *wanted == datastore::to_string(level))
      return level;
  return std::nullopt;
}

Error error_of(const datastore::RequestFailure& failed) {
  using Kind = datastore::RequestFailure::Kind;
  if (failed.kind == Kind::invalid) return {ErrorCode::invalid_argument, failed.message};
  if (failed.kind == Kind::overloaded) return {ErrorCode::overloaded, failed.message};
  const char* what = failed.kind == Kind::unavailable ? "are up" : "answered";
  return {ErrorCode::unavailable,
          fmt::format("{} ({} of the {} replicas that {} wants {})", failed.message, failed.received, failed.required,
                      datastore::to_string(failed.consistency), what)};
}

}  // namespace

/// What one request writes of one shard.
struct BackupRequests::Group {
  datastore::TablePtr table;
  ShardId shard;
  std::vector<Bytes> mutations;
};

void BackupRequests::add(HttpRouter& router, const char* path, Answer (BackupRequests::*serve)(HttpRequest),
                         std::optional<Duration> limit) {
  router.add(
      HttpMethod::post, path,
      [this, serve](HttpRequest request) -> Task<HttpResponse> {
        if (!may(request)) {
          const Error refused{ErrorCode::unauthorized, "only who may read the node's folder may do this"};
          audit(request, "BACKUP " + request.path, fail(refused));
          co_return refusal(refused);
        }
        auto answer = co_await (this->*serve)(std::move(request));
        co_return answer ? std::move(*answer) : refusal(answer.error());
      },
      limit);
}

void BackupRequests::add_routes(HttpRouter& router) {
  add(router, "/snapshots/create", &BackupRequests::create_snapshot, Snapshots::take_limit + std::chrono::minutes(1));
  add(router, "/snapshots/list", &BackupRequests::list_snapshots);
  add(router, "/snapshots/delete", &BackupRequests::delete_snapshot, std::chrono::minutes(3));
  add(router, "/restore/schema", &BackupRequests::tell_schema);
  add(router, "/restore/create", &BackupRequests::create);
  add(router, rows_target, &BackupRequests::write_rows);
}

bool BackupRequests::may(const HttpRequest& request) const {
  const std::string* secret = request.header(secret_header);
  return is_same_origin(request) && secret != nullptr && equal_in_constant_time(*secret, host_.folder_secret());
}

void BackupRequests::audit(const HttpRequest& request, const std::string& what, const Status& outcome) const {
  node_.audit().change("", request.from, what, outcome);
}

BackupRequests::Answer BackupRequests::create_snapshot(HttpRequest request) {
  CO_TRY(const std::string name, name_in(request));
  auto made = co_await node_.snapshots().create(name);
  audit(request, "CREATE SNAPSHOT " + name, made ? Status() : Status(fail(made.error())));
  if (!made) co_return fail(made.error());
  co_return HttpResponse::json(200, boost::json::serialize(*made));
}

BackupRequests::Answer BackupRequests::list_snapshots(HttpRequest) {
  CO_TRY(const boost::json::object found, co_await node_.snapshots().list());
  co_return HttpResponse::json(200, boost::json::serialize(found));
}

BackupRequests::Answer BackupRequests::delete_snapshot(HttpRequest request) {
  CO_TRY(const std::string name, name_in(request));
  Status removed = co_await node_.snapshots().remove(name);
  audit(request, "DELETE SNAPSHOT " + name, removed);
  if (!removed) co_return fail(removed.error());
  co_return HttpResponse::json(200, R"({"ok":true})");
}

BackupRequests::Answer BackupRequests::tell_schema(HttpRequest) {
  CO_TRY_STATUS(co_await node_.metadata().barrier(executor_.now() + decide_limit));
  boost::json::object datacenters;
  for (const auto& [id, node] : node_.cluster().nodes()) {
    boost::json::value& count = datacenters[node.place.datacenter];
    count = count.is_int64() ? count.get_int64() + 1 : 1;
  }
  const boost::json::object answer{{"schema", to_hex(node_.schema().snapshot())},
                                   {"applied", static_cast<int64_t>(node_.metadata().applied_index())},
                                   {"datacenters", std::move(datacenters)}};
  co_return HttpResponse::json(200, boost::json::serialize(answer));
}

BackupRequests::Answer BackupRequests::create(HttpRequest request) {
  CO_TRY_STATUS(datastore::Schema::check_creation(request.body));
  auto done =
      co_await node_.metadata().propose(datastore::Schema::section_name, request.body, executor_.now() + decide_limit);
  audit(request, "RESTORE SCHEMA", done ? Status() : Status(fail(done.error())));
  if (!done) co_return fail(done.error());
  co_return HttpResponse::json(200, R"({"ok":true})");
}

/// Mutations by their shard, each checked. Errors: corrupt; not_found where a table is gone.
Task<Result<std::vector<BackupRequests::Group>>> BackupRequests::group(BytesView body) {
  std::vector<Group> groups;
  ByteReader in(body);
  for (size_t count = 1; !in.at_end(); ++count) {
    const BytesView mutation = in.sized();
    if (in.failed()) break;
    CO_TRY(const auto view, datastore::MutationView::decode(mutation));
    if (view.token != murmur3_token(view.partition_key))
      co_return fail(ErrorCode::corrupt, "a mutation has a token that is not its key's");
    const datastore::TablePtr table = node_.schema().table(view.table);
    if (!table) co_return fail(ErrorCode::not_found, "a table was dropped meanwhile");
    const Shard* shard = node_.cluster().find(table->keyspace, view.token);
    if (shard == nullptr) co_return fail(ErrorCode::not_found, "keyspace {} has no shards", table->keyspace);
    auto of = std::ranges::find_if(
        groups, [&](const Group& each) { return each.shard == shard->id && each.table->number == view.table; });
    if (of == groups.end()) of = groups.insert(of, {table, shard->id, {}});
    of->mutations.emplace_back(mutation);
    if (count % mutations_in_turn == 0) co_await yield_now();
  }
  if (in.failed()) co_return fail(ErrorCode::corrupt, "the body is no list of mutations");
  co_return groups;
}

BackupRequests::Answer BackupRequests::write_rows(HttpRequest request) {
  const auto level = level_in(request);
  if (!level) co_return fail(ErrorCode::corrupt, "unknown consistency level");
  CO_TRY_STATUS(node_.cluster().check_active(balance_feature_level));
  const Instant deadline = executor_.now() + write_limit;
  if (const std::string* text = request.parameter("applied")) {
    uint64_t applied = 0;
    if (std::from_chars(text->data(), text->data() + text->size(), applied).ec != std::errc())
      co_return fail(ErrorCode::corrupt, "applied must be a number");
    CO_TRY_STATUS(co_await node_.metadata().applied(applied, deadline));
  }
  CO_TRY(std::vector<Group> groups, co_await group(request.body));
  request.body = Bytes();
  std::optional<Error> failed;
  TaskGroup writing(executor_);
  for (Group& each : groups)
    writing.spawn([](Node& node, Group group, datastore::Consistency wanted, Instant until,
                     std::optional<Error>& out) -> Task<void> {
      auto served = co_await node.write_versions(std::move(group.table), std::move(group.mutations), wanted, until);
      if (!served && !out) out = error_of(served.error());
    }(node_, std::move(each), *level, deadline, failed));
  co_await writing.join();
  if (failed) co_return fail(std::move(*failed));
  co_return HttpResponse::json(200, R"({"ok":true})");
}

}  // namespace asterism
