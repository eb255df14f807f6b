#include "cli/restore_run.h"

#include <algorithm>
#include <boost/json.hpp>

#include "cli/output.h"
#include "datastore/replica.h"
#include "node/backup_requests.h"

namespace asterism {

using namespace datastore;

namespace {

constexpr Duration schema_limit = 30s, write_limit = 12s, give_up_after = 60s, show_every = 200ms;
constexpr Duration backoff_least = 20ms, backoff_most = 1s;
constexpr size_t bundle_bytes = 256 << 10;

std::string words_of(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, " and ")); }

bool may_succeed_later(ErrorCode code) {
  return code == ErrorCode::closed || code == ErrorCode::timeout || code == ErrorCode::unavailable ||
         code == ErrorCode::overloaded || code == ErrorCode::unauthorized;
}

}  // namespace

RestoreRun::RestoreRun(RealCore& core, const RestoreOptions& options)
    : core_(core),
      options_(options),
      permits_(options.concurrency),
      bar_(!options.json),
      deliveries_(core.executor()),
      tasks_(core.executor()) {}

void RestoreRun::note(const std::string& words) {
  if (options_.json) return;
  bar_.clear();
  (void)write_descriptor(2, words + "\n");
}

Task<Status> RestoreRun::run() {
  CO_TRY(nodes_, BackupNodes::open(core_, options_.data));
  tasks_.spawn(show_regularly());
  CO_TRY_STATUS(co_await open_folders());
  CO_TRY_STATUS(check_folders());
  CO_TRY_STATUS(choose_tables());
  doing_ = "looking at the cluster";
  CO_TRY_STATUS(co_await read_target());
  CO_TRY_STATUS(co_await make_missing());
  begun_ = latest_answer_ = core_.executor().now();
  if (options_.schema_only) co_return Status{};
  CO_TRY_STATUS(map_tables());
  Status written = co_await write_tables();
  if (written) written = co_await write_hints();
  co_await deliveries_.join();
  bar_.clear();
  if (failure_) co_return fail(*failure_);
  co_return written;
}

// Folders.

Task<Status> RestoreRun::open_folders() {
  for (const std::string& path : options_.folders) {
    doing_ = "checking " + path;
    CO_TRY(auto folder, co_await SnapshotFolder::open(core_, path));
    folders_.push_back(std::move(folder));
  }
  co_return Status{};
}

Status RestoreRun::check_folders() const {
  const SnapshotManifest& first = folders_.front()->manifest();
  std::vector<std::string> there, missing;
  for (const auto& folder : folders_) {
    const SnapshotManifest& each = folder->manifest();
    if (each.id != first.id)
      return fail(ErrorCode::invalid_argument,
                  "{} is of snapshot {}, and {} of snapshot {}: restore one after the other", folders_.front()->path(),
                  first.name, folder->path(), each.name);
    if (std::ranges::find(there, each.node) != there.end())
      return fail(ErrorCode::invalid_argument, "{} is of {}, of which there is another folder", folder->path(),
                  each.node);
    there.push_back(each.node);
  }
  for (const std::string& node : first.nodes)
    if (std::ranges::find(there, node) == there.end()) missing.push_back(node);
  if (!missing.empty() && !options_.json)
    (void)write_descriptor(2, fmt::format("asterism: snapshot {} is of {} too, whose folders are not given: what only "
                                          "they had is not restored\n",
                                          printable(first.name), printable(words_of(missing))));
  return {};
}

Status RestoreRun::choose_tables() {
  std::vector<std::string> known;
  for (const auto& folder : folders_)
    for (const auto& [keyspace_name, keyspace] : folder->schema().keyspaces())
      for (const auto& [name, table] : keyspace.tables) {
        const TableName each{keyspace_name, name};
        known.push_back(keyspace_name + "." + name);
        const bool wanted = (options_.keyspace.empty() || options_.keyspace == keyspace_name) &&
                            (options_.table.empty() || options_.table == name);
        if (wanted && std::ranges::find(tables_, each) == tables_.end()) tables_.push_back(each);
      }
  std::ranges::sort(tables_);
  std::ranges::sort(known);
  known.erase(std::ranges::unique(known).begin(), known.end());
  if (!tables_.empty()) return {};
  return fail(ErrorCode::not_found, "the snapshot has no such table: it has {}",
              known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

/// As the folder has it that knew most.
TablePtr RestoreRun::saved_table(const TableName& name) const {
  TablePtr best;
  uint64_t applied = 0;
  for (const auto& folder : folders_) {
    TablePtr found = folder->schema().table(name.first, name.second);
    if (!found || (best && folder->manifest().applied <= applied)) continue;
    best = std::move(found);
    applied = folder->manifest().applied;
  }
  return best;
}

// The cluster's schema.

Task<Status> RestoreRun::read_target() {
  CO_TRY(const Bytes answer, co_await nodes_->post_to_any("/restore/schema", "{}", schema_limit));
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse(answer, bad);
  const boost::json::object* object = value.if_object();
  const boost::json::value* schema = object ? object->if_contains("schema") : nullptr;
  const boost::json::value* applied = object ? object->if_contains("applied") : nullptr;
  const boost::json::value* datacenters = object ? object->if_contains("datacenters") : nullptr;
  Bytes snapshot;
  if (bad || !schema || !schema->is_string() || !applied || !applied->is_int64() || !datacenters ||
      !datacenters->is_object() || !from_hex(std::string_view(schema->get_string()), snapshot))
    co_return fail(ErrorCode::corrupt, "the node does not say which tables there are");
  target_cluster_ = std::make_unique<ClusterState>();
  target_schema_ = std::make_unique<Schema>(*target_cluster_);
  CO_TRY_STATUS(target_schema_->restore(snapshot));
  target_applied_ = static_cast<uint64_t>(applied->get_int64());
  datacenters_.clear();
  for (const auto& [name, count] : datacenters->get_object())
    datacenters_[std::string(name)] = count.is_int64() ? count.get_int64() : 0;
  co_return Status{};
}

Result<Keyspace> RestoreRun::keyspace_to_make(const std::string& name) const {
  const SnapshotFolder* best = nullptr;
  for (const auto& folder : folders_)
    if (folder->schema().keyspace(name) && (!best || folder->manifest().applied > best->manifest().applied))
      best = folder.get();
  Keyspace made = *best->schema().keyspace(name);
  made.tables.clear();
  if (options_.replicas > 0) {
    made.replication = {{"class", "NetworkTopologyStrategy"},
                        {"replication_factor", std::to_string(options_.replicas)}};
    return made;
  }
  if (made.replication["class"] != "NetworkTopologyStrategy") return made;
  bool any = false;
  std::string wanted;
  for (const auto& [datacenter, count] : made.replication) {
    if (datacenter == "class") continue;
    any |= datacenters_.contains(datacenter);
    wanted += (wanted.empty() ? "" : ", ") + datacenter;
  }
  if (any) return made;
  std::string there;
  for (const auto& [datacenter, nodes] : datacenters_) there += (there.empty() ? "" : ", ") + datacenter;
  return fail(ErrorCode::invalid_argument,
              "keyspace {} had its replicas in {}, and this cluster has {}: say --replicas N for as many in each", name,
              wanted, there);
}

Task<Status> RestoreRun::create(Bytes command, const std::string& what) {
  auto done = co_await nodes_->post_to_any("/restore/create", std::move(command), schema_limit);
  if (!done) co_return fail(done.error().code, "{} cannot be made: {}", what, done.error().message);
  note(what + " is made");
  co_return Status{};
}

Task<Status> RestoreRun::make_missing() {
  bool made = false;
  for (const TableName& name : tables_) {
    if (target_schema_->table(name.first, name.second)) continue;
    made = true;
    if (!target_schema_->keyspace(name.first)) {
      CO_TRY(const Keyspace keyspace, keyspace_to_make(name.first));
      CO_TRY_STATUS(co_await create(Schema::create_keyspace(keyspace), "keyspace " + name.first));
      ++keyspaces_made_;
      CO_TRY_STATUS(co_await read_target());
    }
    CO_TRY_STATUS(co_await create(Schema::create_table(*saved_table(name)), "table " + name.first + "." + name.second));
    ++tables_made_;
  }
  if (made) CO_TRY_STATUS(co_await read_target());
  co_return Status{};
}

/// Every folder has numbers and columns of its own, because a table may have changed between two nodes' copies.
Status RestoreRun::map_tables() {
  for (const TableName& name : tables_) {
    const TablePtr to = target_schema_->table(name.first, name.second);
    if (!to) return fail(ErrorCode::not_found, "{}.{} was dropped meanwhile", name.first, name.second);
    for (const auto& folder : folders_) {
      const TablePtr saved = folder->schema().table(name.first, name.second);
      if (!saved) continue;
      TRY(ColumnMap map, ColumnMap::make(*saved, *to));
      maps_.insert_or_assign({folder.get(), saved->number}, std::pair(to->number, std::move(map)));
    }
  }
  return {};
}

// Rows.

Task<Status> RestoreRun::write_tables() {
  for (const TableName& name : tables_) {
    doing_ = name.first + "." + name.second;
    const TablePtr to = target_schema_->table(name.first, name.second);
    std::vector<RestoreSource> sources;
    for (const auto& folder : folders_)
      if (const TablePtr saved = folder->schema().table(name.first, name.second))
        sources.push_back(
            {folder->path(), &folder->store(), saved->number, maps_.at({folder.get(), saved->number}).second});
    reader_.emplace(std::move(sources), to->number);
    MutationBundle bundle;
    for (bool more = true; more && !failure_;) {
      CO_TRY(more, reader_->fill(bundle, bundle_bytes));
      if (bundle.bytes() > 0) CO_TRY_STATUS(co_await send(bundle.take()));
    }
    rows_ += reader_->rows();
    reader_.reset();
    ++tables_done_;
  }
  co_return Status{};
}

/// What waited on a node for others may be all that there is of a write at ANY.
Task<Status> RestoreRun::write_hints() {
  doing_ = "hints";
  for (const auto& folder : folders_) {
    const auto begin = [](uint32_t table) { return token_key(table, INT64_MIN).substr(0, 4); };
    auto it = folder->store().iterate({begin(hints_table), begin(hints_table + 1), false});
    MutationBundle bundle;
    for (it.seek_first(); it.valid() && !failure_; it.next()) {
      if (Status added = add_hint(*folder, it.value(), bundle); !added)
        co_return fail(added.error().code, "{}: {}", folder->path(), added.error().message);
      if (bundle.bytes() >= bundle_bytes) CO_TRY_STATUS(co_await send(bundle.take()));
    }
    if (Status status = it.status(); !status)
      co_return fail(status.error().code, "{}: {}", folder->path(), status.error().message);
    if (bundle.bytes() > 0) CO_TRY_STATUS(co_await send(bundle.take()));
  }
  co_return Status{};
}

Status RestoreRun::add_hint(const SnapshotFolder& folder, BytesView value, MutationBundle& bundle) {
  ByteReader in(value);
  (void)in.u64_le();  // when it was made
  TRY(const MutationView mutation, MutationView::decode(in.rest()));
  const auto found = maps_.find({&folder, mutation.table});
  if (found == maps_.end()) return {};  // of a table that is not wanted, or was dropped
  const auto& [number, columns] = found->second;
  for (const auto& change : mutation.changes) {
    TRY(const Bytes mapped, columns.map(change.place, change.value));
    if (mapped.empty()) continue;
    bundle.begin(number, mutation.token, mutation.partition_key);
    TRY_STATUS(bundle.add(change.place, change.clustering, mapped));
  }
  ++hints_;
  return {};
}

Task<Status> RestoreRun::send(Bytes bundle) {
  auto permit = co_await permits_.acquire();
  if (failure_) co_return fail(*failure_);
  deliveries_.spawn(deliver(std::move(bundle), std::move(permit), bundles_++));
  co_await yield_now();  // so that it is sent, and not only begun
  co_return Status{};
}

Task<void> RestoreRun::deliver(Bytes bundle, [[maybe_unused]] Semaphore::Permit permit, size_t first) {
  const std::string target = fmt::format("{}?consistency={}&applied={}", BackupRequests::rows_target,
                                         to_string(options_.consistency), target_applied_);
  Duration backoff = backoff_least;
  for (size_t tried = 0; !failure_; ++tried) {
    const auto done = co_await nodes_->post((first + tried) % nodes_->size(), target, bundle, write_limit);
    if (done) {
      latest_answer_ = core_.executor().now();
      bytes_ += bundle.size();
      co_return;
    }
    const Error& error = done.error();
    const bool late = core_.executor().now() - latest_answer_ > give_up_after;
    if (!failure_ && (late || !may_succeed_later(error.code)))
      failure_ = Error{error.code, late ? fmt::format("nothing was acknowledged for {} s, the last answer was: {}",
                                                      give_up_after / 1s, error.message)
                                        : error.message};
    ++retries_;
    // Where a node is gone, another is there at once.
    if (error.code == ErrorCode::closed && tried + 1 < nodes_->size()) continue;
    // No event tells when a server that is overloaded or away can take more; trying at once would be more load.
    co_await sleep_for(backoff);
    backoff = std::min(backoff * 2, backoff_most);
  }
}

// Beside them.

Task<void> RestoreRun::show_regularly() {
  while (true) {
    co_await sleep_for(show_every);
    if (!begun()) {
      bar_.show(-1, doing_);
      continue;
    }
    const double done = static_cast<double>(tables_done_) + (reader_ ? reader_->progress() : 0);
    const uint64_t rows = rows_ + (reader_ ? reader_->rows() : 0);
    const double seconds = std::max(1e-3, static_cast<double>((core_.executor().now() - begun_).count()) * 1e-9);
    bar_.show(done / static_cast<double>(std::max<size_t>(1, tables_.size())),
              fmt::format("{}  {} rows  {} rows/s", doing_, with_commas(rows),
                          with_commas(static_cast<uint64_t>(static_cast<double>(rows) / seconds))));
  }
}

std::string RestoreRun::summary() const {
  const double seconds = std::max(1e-3, static_cast<double>((core_.executor().now() - begun_).count()) * 1e-9);
  const auto per_s = static_cast<uint64_t>(static_cast<double>(rows_) / seconds);
  if (options_.json)
    return JsonLine()
        .text("event", "restored")
        .text("snapshot", folders_.empty() ? "" : folders_.front()->manifest().name)
        .number("folders", static_cast<int64_t>(folders_.size()))
        .number("keyspaces_made", static_cast<int64_t>(keyspaces_made_))
        .number("tables_made", static_cast<int64_t>(tables_made_))
        .number("tables", static_cast<int64_t>(tables_done_))
        .number("rows", static_cast<int64_t>(rows_))
        .number("hints", static_cast<int64_t>(hints_))
        .number("bytes", static_cast<int64_t>(bytes_))
        .number("retries", static_cast<int64_t>(retries_))
        .raw("seconds", fmt::format("{:.3f}", seconds))
        .number("rows_per_s", static_cast<int64_t>(per_s))
        .str();
  if (options_.schema_only)
    return fmt::format("{} keyspaces and {} tables made; no rows were written", keyspaces_made_, tables_made_);
  return fmt::format("{} rows of {} tables in {:.1f} s ({} rows/s)", with_commas(rows_), tables_done_, seconds,
                     with_commas(per_s));
}

}  // namespace asterism
