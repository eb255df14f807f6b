#include "datastore/schema.h"

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "datastore/schema.pb.h"

namespace asterism::datastore {

// Between structs and protobuf.

static void to_proto(const Column& column, pb::Column& out) {
  out.set_id(column.id);
  out.set_name(column.name);
  out.set_type(column.type.to_string());
  out.set_kind(static_cast<uint32_t>(column.kind));
  out.set_position(column.position);
  out.set_descending(column.descending);
}

static Result<Column> from_proto(const pb::Column& in) {
  Column column;
  column.id = in.id();
  column.name = in.name();
  TRY(column.type, DataType::parse(in.type()));
  if (in.kind() > static_cast<uint32_t>(ColumnKind::regular))
    return fail(ErrorCode::invalid_argument, "column {} is of unknown kind {}", in.name(), in.kind());
  column.kind = static_cast<ColumnKind>(in.kind());
  column.position = in.position();
  column.descending = in.descending();
  return column;
}

template <class Map>
static void to_proto_map(const std::map<std::string, std::string>& in, Map& out) {
  for (const auto& [key, value] : in) out[key] = value;
}

template <class Map>
static std::map<std::string, std::string> from_proto_map(const Map& in) {
  return {in.begin(), in.end()};
}

static void to_proto(const Table& table, pb::Table& out) {
  out.set_number(table.number);
  out.set_id(table.id);
  out.set_keyspace(table.keyspace);
  out.set_name(table.name);
  for (const Column& column : table.columns) to_proto(column, *out.add_columns());
  to_proto_map(table.options, *out.mutable_options());
  out.set_next_column(table.next_column);
  for (const auto& dropped : table.dropped) {
    auto& entry = *out.add_dropped();
    entry.set_name(dropped.name);
    entry.set_type(dropped.type);
    entry.set_dropped_us(dropped.dropped_us);
    entry.set_kind(static_cast<uint32_t>(dropped.kind));
  }
}

static Result<Table> from_proto(const pb::Table& in) {
  Table table;
  table.number = in.number();
  table.id = in.id();
  table.keyspace = in.keyspace();
  table.name = in.name();
  for (const auto& entry : in.columns()) {
    TRY(Column column, from_proto(entry));
    table.columns.push_back(std::move(column));
  }
  table.options = from_proto_map(in.options());
  table.next_column = in.next_column();
  for (const auto& entry : in.dropped())
    table.dropped.push_back({entry.name(), entry.type(), entry.dropped_us(), static_cast<ColumnKind>(entry.kind())});
  return table;
}

static void to_proto(const Keyspace& keyspace, pb::Keyspace& out) {
  out.set_name(keyspace.name);
  to_proto_map(keyspace.replication, *out.mutable_replication());
  out.set_durable_writes(keyspace.durable_writes);
}

static Keyspace from_proto(const pb::Keyspace& in) {
  return {in.name(), from_proto_map(in.replication()), in.durable_writes(), {}};
}

// Table, Keyspace.

const Column* Table::find(std::string_view column) const {
  auto it = std::ranges::find(columns, column, &Column::name);
  return it == columns.end() ? nullptr : &*it;
}

const Column* Table::find(uint32_t column_id) const {
  auto it = std::ranges::find(columns, column_id, &Column::id);
  return it == columns.end() ? nullptr : &*it;
}

size_t Table::count(ColumnKind kind) const {
  return static_cast<size_t>(std::ranges::count(columns, kind, &Column::kind));
}

static bool to_number(const std::string& text, int64_t& number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

int64_t Table::number_option(const std::string& option, int64_t otherwise) const {
  auto it = options.find(option);
  int64_t value = 0;
  return it != options.end() && to_number(it->second, value) ? value : otherwise;
}

/// Columns in the order that Table promises.
static void sort_columns(std::vector<Column>& columns) {
  std::ranges::sort(columns, [](const Column& a, const Column& b) {
    if (a.is_key() || b.is_key()) return std::tuple(a.kind, a.position) < std::tuple(b.kind, b.position);
    return std::tuple(a.kind, std::string_view(a.name)) < std::tuple(b.kind, std::string_view(b.name));
  });
}

constexpr const char* simple_strategy = "SimpleStrategy";
constexpr const char* topology_strategy = "NetworkTopologyStrategy";

size_t Keyspace::replication_factor() const {
  size_t sum = 0;
  for (const auto& [option, value] : replication) {
    int64_t number = 0;
    if (option != "class" && to_number(value, number)) sum += static_cast<size_t>(number);
  }
  return sum;
}

Status check_replication(std::map<std::string, std::string>& replication) {
  auto strategy = replication.find("class");
  if (strategy == replication.end())
    return fail(ErrorCode::invalid_argument, "Missing mandatory replication strategy class");
  std::string& name = strategy->second;
  name = name.substr(name.rfind('.') + 1);
  if (name != simple_strategy && name != topology_strategy)
    return fail(ErrorCode::invalid_argument, "Unable to find replication strategy class '{}'", name);
  if (name == simple_strategy && !replication.contains("replication_factor"))
    return fail(ErrorCode::invalid_argument, "SimpleStrategy requires a replication_factor strategy option.");
  for (const auto& [option, value] : replication) {
    if (option == "class") continue;
    if (name == simple_strategy && option != "replication_factor")
      return fail(ErrorCode::invalid_argument, "Unrecognized strategy option {{{}}} passed to SimpleStrategy", option);
    int64_t number = 0;
    if (!to_number(value, number) || number < 0 || number > 64)
      return fail(ErrorCode::invalid_argument, "Replication factor must be a number from 0 to 64; found {}", value);
    if (name == simple_strategy && number == 0)
      return fail(ErrorCode::invalid_argument, "Replication factor must be positive; found 0");
  }
  return {};
}

// Schema.

PlacementRule Keyspace::rule() const {
  PlacementRule rule;
  for (const auto& [option, value] : replication)
    if (option != "class") rule.by_datacenter[option] = static_cast<size_t>(std::stoul(value));
  if (replication.at("class") != simple_strategy) return rule;
  rule.simple = rule.by_datacenter.at("replication_factor");
  rule.by_datacenter.clear();
  return rule;
}

Schema::Schema(ClusterState& cluster) : cluster_(cluster) {
  cluster.set_placement([this](const std::string& scope, int64_t token, const Ring& ring) {
    const Keyspace* found = keyspace(scope);
    return found != nullptr ? found->rule().place(token, ring) : std::vector<NodeId>();
  });
}

const Keyspace* Schema::keyspace(std::string_view name) const {
  auto it = keyspaces_.find(name);
  return it == keyspaces_.end() ? nullptr : &it->second;
}

TablePtr Schema::table(std::string_view keyspace_name, std::string_view name) const {
  const Keyspace* found = keyspace(keyspace_name);
  if (found == nullptr) return nullptr;
  auto it = found->tables.find(std::string(name));
  return it == found->tables.end() ? nullptr : it->second;
}

TablePtr Schema::table(uint32_t number) const {
  auto it = by_number_.find(number);
  return it == by_number_.end() ? nullptr : it->second.table;
}

const Keyspace* Schema::keyspace_of(uint32_t number) const {
  auto it = by_number_.find(number);
  return it == by_number_.end() ? nullptr : it->second.keyspace;
}

Bytes Schema::version() const {
  Bytes uuid;
  ByteWriter out(uuid);
  Bytes seed;
  ByteWriter(seed).u64_be(version_index_);
  out.u64_be(xxh3(seed, 1));
  out.u64_be(xxh3(seed, 2));
  // Version 4 and the usual variant, so that every client takes it for a UUID.
  uuid[6] = static_cast<char>((uuid[6] & 0x0f) | 0x40);
  uuid[8] = static_cast<char>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

Result<Bytes> Schema::apply(uint64_t index, BytesView command) {
  TRY_STATUS(change(command));
  version_index_ = index;
  return Bytes{};
}

Status Schema::change(BytesView command) {
  pb::SchemaCommand parsed;
  if (!parsed.ParseFromArray(command.data(), static_cast<int>(command.size())))
    return fail(ErrorCode::invalid_argument, "malformed schema command");
  switch (parsed.command_case()) {
    case pb::SchemaCommand::kCreateKeyspace:
      return create_keyspace_now(from_proto(parsed.create_keyspace()));
    case pb::SchemaCommand::kAlterKeyspace: {
      Keyspace altered = from_proto(parsed.alter_keyspace());
      auto it = keyspaces_.find(altered.name);
      if (it == keyspaces_.end()) return fail(ErrorCode::not_found, "Keyspace '{}' doesn't exist", altered.name);
      TRY_STATUS(check_replication(altered.replication));
      name_datacenters(altered.replication);
      const bool moves = it->second.replication != altered.replication;
      if (moves && cluster_.change())
        return fail(ErrorCode::invalid_argument, "The replication of '{}' cannot change while nodes join or leave",
                    altered.name);
      it->second.durable_writes = altered.durable_writes;
      if (!moves) return {};
      it->second.replication = std::move(altered.replication);
      cluster_.replace_shards(altered.name);
      return {};
    }
    case pb::SchemaCommand::kDropKeyspace: {
      auto it = keyspaces_.find(parsed.drop_keyspace());
      if (it == keyspaces_.end())
        return fail(ErrorCode::not_found, "Keyspace '{}' doesn't exist", parsed.drop_keyspace());
      for (const auto& [name, table] : it->second.tables) {
        abandoned_.push_back(table->number);
        by_number_.erase(table->number);
      }
      cluster_.drop_shards(it->second.name);
      keyspaces_.erase(it);
      return {};
    }
    case pb::SchemaCommand::kCreateTable: {
      TRY(Table table, from_proto(parsed.create_table()));
      return create_table_now(std::move(table));
    }
    case pb::SchemaCommand::kAlterTable: {
      const auto& in = parsed.alter_table();
      AlterTableCommand alter{in.keyspace(),
                              in.table(),
                              {},
                              {in.drop().begin(), in.drop().end()},
                              in.dropped_us(),
                              from_proto_map(in.rename()),
                              from_proto_map(in.options())};
      for (const auto& entry : in.add()) {
        TRY(Column column, from_proto(entry));
        alter.add.push_back(std::move(column));
      }
      return alter_table_now(alter);
    }
    case pb::SchemaCommand::kDropTable:
      return replace_number(parsed.drop_table().keyspace(), parsed.drop_table().table(), false);
    case pb::SchemaCommand::kTruncate:
      return replace_number(parsed.truncate().keyspace(), parsed.truncate().table(), true);
    case pb::SchemaCommand::COMMAND_NOT_SET:
      break;
  }
  return fail(ErrorCode::unsupported, "unknown schema command");
}

Status Schema::create_keyspace_now(Keyspace keyspace) {
  if (keyspaces_.contains(keyspace.name))
    return fail(ErrorCode::already_exists, "Keyspace '{}' already exists", keyspace.name);
  TRY_STATUS(check_replication(keyspace.replication));
  name_datacenters(keyspace.replication);
  const std::string name = keyspace.name;
  keyspaces_.emplace(name, std::move(keyspace));
  cluster_.create_shards(name);
  return {};
}

/// NetworkTopologyStrategy with a replication_factor means every datacenter that there is and that is not named.
void Schema::name_datacenters(std::map<std::string, std::string>& replication) const {
  if (replication.at("class") != topology_strategy) return;
  auto factor = replication.extract("replication_factor");
  if (factor.empty()) return;
  for (const auto& [id, node] : cluster_.nodes()) replication.try_emplace(node.place.datacenter, factor.mapped());
}

void Schema::put(TablePtr table) {
  Keyspace& keyspace = keyspaces_.find(table->keyspace)->second;
  keyspace.tables[table->name] = table;
  const uint32_t number = table->number;
  by_number_[number] = {std::move(table), &keyspace};
}

Status Schema::create_table_now(Table table) {
  auto keyspace = keyspaces_.find(table.keyspace);
  if (keyspace == keyspaces_.end()) return fail(ErrorCode::not_found, "Keyspace '{}' doesn't exist", table.keyspace);
  if (keyspace->second.tables.contains(table.name))
    return fail(ErrorCode::already_exists, "Table '{}.{}' already exists", table.keyspace, table.name);
  if (table.partition_key_size() == 0)
    return fail(ErrorCode::invalid_argument, "Table '{}.{}' has no partition key", table.keyspace, table.name);
  table.number = next_table_++;
  table.next_column = 1;
  sort_columns(table.columns);
  for (Column& column : table.columns) column.id = table.next_column++;
  put(std::make_shared<const Table>(std::move(table)));
  return {};
}

Status Schema::alter_table_now(const AlterTableCommand& alter) {
  TablePtr old = table(alter.keyspace, alter.table);
  if (!old) return fail(ErrorCode::not_found, "Table '{}.{}' doesn't exist", alter.keyspace, alter.table);
  Table changed = *old;
  for (Column column : alter.add) {
    if (changed.find(column.name))
      return fail(ErrorCode::already_exists, "Column with name '{}' already exists", column.name);
    column.id = changed.next_column++;
    changed.columns.push_back(std::move(column));
  }
  for (const std::string& name : alter.drop) {
    auto it = std::ranges::find(changed.columns, name, &Column::name);
    if (it == changed.columns.end()) return fail(ErrorCode::not_found, "Column {} was not found in table", name);
    if (it->is_key()) return fail(ErrorCode::invalid_argument, "Cannot drop PRIMARY KEY column {}", name);
    std::erase_if(changed.dropped, [&](const auto& dropped) { return dropped.name == name; });
    changed.dropped.push_back({name, it->type.to_string(), alter.dropped_us, it->kind});
    changed.columns.erase(it);
  }
  for (const auto& [from, to] : alter.rename) {
    auto it = std::ranges::find(changed.columns, from, &Column::name);
    if (it == changed.columns.end()) return fail(ErrorCode::not_found, "Column {} was not found in table", from);
    if (changed.find(to)) return fail(ErrorCode::already_exists, "Column with name '{}' already exists", to);
    it->name = to;
  }
  for (const auto& [option, value] : alter.options) changed.options[option] = value;
  sort_columns(changed.columns);
  put(std::make_shared<const Table>(std::move(changed)));
  return {};
}

/// Dropping abandons the table's number; truncating also gives it a new one, so that no old row can come back.
Status Schema::replace_number(const std::string& keyspace_name, const std::string& name, bool keep) {
  TablePtr old = table(keyspace_name, name);
  if (!old) return fail(ErrorCode::not_found, "Table '{}.{}' doesn't exist", keyspace_name, name);
  abandoned_.push_back(old->number);
  by_number_.erase(old->number);
  if (keep) {
    Table changed = *old;
    changed.number = next_table_++;
    put(std::make_shared<const Table>(std::move(changed)));
  } else {
    keyspaces_.find(keyspace_name)->second.tables.erase(name);
  }
  return {};
}

Bytes Schema::snapshot() const {
  pb::SchemaSnapshot out;
  for (const auto& [name, keyspace] : keyspaces_) {
    to_proto(keyspace, *out.add_keyspaces());
    for (const auto& [table_name, table] : keyspace.tables) to_proto(*table, *out.add_tables());
  }
  out.set_next_table(next_table_);
  out.set_version_index(version_index_);
  return out.SerializeAsString();
}

Status Schema::restore(BytesView snapshot) {
  pb::SchemaSnapshot in;
  if (!in.ParseFromArray(snapshot.data(), static_cast<int>(snapshot.size())))
    return fail(ErrorCode::corrupt, "malformed snapshot of section schema");
  auto old_numbers = std::exchange(by_number_, {});
  keyspaces_.clear();
  for (const auto& entry : in.keyspaces()) keyspaces_.emplace(entry.name(), from_proto(entry));
  for (const auto& entry : in.tables()) {
    TRY(Table table, from_proto(entry));
    if (!keyspaces_.contains(table.keyspace)) return fail(ErrorCode::corrupt, "a table without its keyspace");
    put(std::make_shared<const Table>(std::move(table)));
  }
  next_table_ = in.next_table();
  version_index_ = in.version_index();
  const size_t known = abandoned_.size();
  for (const auto& [number, table] : old_numbers)
    if (!by_number_.contains(number)) abandoned_.push_back(number);
  std::sort(abandoned_.begin() + static_cast<ptrdiff_t>(known), abandoned_.end());
  return {};
}

// Commands.

static Bytes serialized(const pb::SchemaCommand& command) { return command.SerializeAsString(); }

Status Schema::check_creation(BytesView command) {
  pb::SchemaCommand parsed;
  const bool read = parsed.ParseFromArray(command.data(), static_cast<int>(command.size()));
  if (read && parsed.has_create_keyspace()) {
    Keyspace keyspace = from_proto(parsed.create_keyspace());
    if (keyspace.name.empty()) return fail(ErrorCode::invalid_argument, "a keyspace without a name");
    return check_replication(keyspace.replication);
  }
  if (read && parsed.has_create_table()) {
    TRY(const Table table, from_proto(parsed.create_table()));
    if (table.id.size() != 16 || table.name.empty() || table.partition_key_size() == 0)
      return fail(ErrorCode::invalid_argument, "a table without name, id or partition key");
    return {};
  }
  return fail(ErrorCode::invalid_argument, "it makes neither a keyspace nor a table");
}

Bytes Schema::create_keyspace(const Keyspace& keyspace) {
  pb::SchemaCommand command;
  to_proto(keyspace, *command.mutable_create_keyspace());
  return serialized(command);
}

Bytes Schema::alter_keyspace(const Keyspace& keyspace) {
  pb::SchemaCommand command;
  to_proto(keyspace, *command.mutable_alter_keyspace());
  return serialized(command);
}

Bytes Schema::drop_keyspace(const std::string& name) {
  pb::SchemaCommand command;
  command.set_drop_keyspace(name);
  return serialized(command);
}

Bytes Schema::create_table(const Table& table) {
  pb::SchemaCommand command;
  to_proto(table, *command.mutable_create_table());
  return serialized(command);
}

Bytes Schema::alter_table(const AlterTableCommand& alter) {
  pb::SchemaCommand command;
  auto& out = *command.mutable_alter_table();
  out.set_keyspace(alter.keyspace);
  out.set_table(alter.table);
  for (const Column& column : alter.add) to_proto(column, *out.add_add());
  for (const auto& name : alter.drop) out.add_drop(name);
  out.set_dropped_us(alter.dropped_us);
  to_proto_map(alter.rename, *out.mutable_rename());
  to_proto_map(alter.options, *out.mutable_options());
  return serialized(command);
}

static Bytes name_command(pb::SchemaCommand& command, pb::SchemaCommand::TableName& out, const std::string& keyspace,
                          const std::string& name) {
  out.set_keyspace(keyspace);
  out.set_table(name);
  return serialized(command);
}

Bytes Schema::drop_table(const std::string& keyspace, const std::string& name) {
  pb::SchemaCommand command;
  return name_command(command, *command.mutable_drop_table(), keyspace, name);
}

Bytes Schema::truncate(const std::string& keyspace, const std::string& name) {
  pb::SchemaCommand command;
  return name_command(command, *command.mutable_truncate(), keyspace, name);
}

}  // namespace asterism::datastore
