#include "datastore/cql/describe.h"

#include "datastore/cql/answer.h"
#include "datastore/cql/parser.h"
#include "datastore/cql/system_rows.h"
#include "datastore/cql/system_tables.h"
#include "datastore/literal.h"

namespace asterism::cql {

using datastore::Column;
using datastore::ColumnKind;
using datastore::Keyspace;
using datastore::Table;

namespace {

constexpr std::string_view snitch = "GossipingPropertyFileSnitch";

/// Options whose values are strings and need quotes; maps and numbers are kept as CQL has them.
bool is_text_option(std::string_view name) {
  return name == "additional_write_policy" || name == "comment" || name == "memtable" || name == "read_repair" ||
         name == "speculative_retry";
}

std::string join(const std::vector<std::string>& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

std::string primary_key(const Table& table) {
  std::vector<std::string> partition, all;
  for (const Column& column : table.columns)
    if (column.kind == ColumnKind::partition_key) partition.push_back(quote_identifier(column.name));
  all.push_back(partition.size() == 1 ? partition[0] : "(" + join(partition) + ")");
  for (const Column& column : table.columns)
    if (column.kind == ColumnKind::clustering) all.push_back(quote_identifier(column.name));
  return "PRIMARY KEY (" + join(all) + ")";
}

std::string definition(const Table& table, std::string_view verb) {
  const bool inline_key = table.partition_key_size() == 1 && table.clustering_size() == 0;
  std::string text = fmt::format("{} {}.{} (\n", verb, quote_identifier(table.keyspace), quote_identifier(table.name));
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = table.columns[i];
    text += fmt::format("    {} {}", quote_identifier(column.name), column.type.to_string());
    if (column.kind == ColumnKind::static_) text += " static";
    if (inline_key && column.is_key()) text += " PRIMARY KEY";
    text += i + 1 < table.columns.size() || !inline_key ? ",\n" : "\n";
  }
  if (!inline_key) text += "    " + primary_key(table) + "\n";
  return text + ")";
}

std::string uuid_text(const Bytes& id) { return datastore::to_text(datastore::TypeKind::uuid, id); }

std::vector<std::string> properties(const Table& table, bool internals) {
  std::vector<std::string> found;
  if (internals) found.push_back("ID = " + uuid_text(table.id));
  std::vector<std::string> order;
  for (const Column& column : table.columns)
    if (column.kind == ColumnKind::clustering)
      order.push_back(quote_identifier(column.name) + (column.descending ? " DESC" : " ASC"));
  if (!order.empty()) found.push_back("CLUSTERING ORDER BY (" + join(order) + ")");
  for (const auto& [name, value] : table.options)
    found.push_back(fmt::format("{} = {}", name, is_text_option(name) ? quote_string(value) : value));
  return found;
}

std::string virtual_keyspace_text(const std::string& name) {
  return fmt::format(
      "/*\nWarning: Keyspace {0} is a virtual keyspace and cannot be recreated with CQL.\nStructure, for "
      "reference:*/\n// VIRTUAL KEYSPACE {0};",
      quote_identifier(name));
}

wire::ResultMetadata columns_of(std::initializer_list<const char*> names) {
  wire::ResultMetadata metadata;
  for (const char* name : names)
    metadata.columns.push_back({"system", "describe", name, {.id = wire::TypeId::varchar}});
  return metadata;
}

/// One DESCRIBE.
class Describer {
 public:
  Describer(const Describe& statement, const DescribeContext& context)
      : statement_(statement), context_(context), schema_(context.catalog.schema) {}

  Answer<DescribeResult> run();

 private:
  const VirtualTables& virtual_tables() const { return context_.catalog.virtual_tables; }
  bool has_keyspace(const std::string& name) const {
    return schema_.keyspace(name) != nullptr || virtual_tables().has_keyspace(name);
  }
  /// All of them, sorted.
  std::set<std::string> keyspace_names() const;
  std::map<std::string, datastore::TablePtr> tables_of(const std::string& keyspace) const;

  void add(const std::string& keyspace, const char* type, const std::string& name, std::string text = {});
  void add_table(const Table& table);
  void add_keyspace(const std::string& name, bool with_tables);
  Answer<std::string> named_keyspace() const;
  Answer<void> one_keyspace();
  Answer<void> one_table();
  Answer<void> anything();
  Answer<void> nothing_of(const char* what) const;
  void lists();

  const Describe& statement_;
  const DescribeContext& context_;
  const datastore::Schema& schema_;
  DescribeResult result_;
  bool with_text_ = true;
};

std::set<std::string> Describer::keyspace_names() const {
  std::set<std::string> names;
  for (const auto& [name, keyspace] : schema_.keyspaces()) names.insert(name);
  for (const auto& [name, tables] : virtual_tables().keyspaces()) names.insert(name);
  return names;
}

std::map<std::string, datastore::TablePtr> Describer::tables_of(const std::string& keyspace) const {
  std::map<std::string, datastore::TablePtr> tables;
  if (const Keyspace* found = schema_.keyspace(keyspace)) tables = found->tables;
  auto made = virtual_tables().keyspaces().find(keyspace);
  if (made != virtual_tables().keyspaces().end())
    for (const auto& [name, table] : made->second) tables[name] = table->table();
  return tables;
}

void Describer::add(const std::string& keyspace, const char* type, const std::string& name, std::string text) {
  std::vector<Bytes> row{quote_identifier(keyspace), type, quote_identifier(name)};
  if (with_text_) row.push_back(std::move(text));
  result_.rows.push_back(std::move(row));
}

void Describer::add_table(const Table& table) {
  const bool made = schema_.keyspace(table.keyspace) == nullptr && !is_system_keyspace(table.keyspace);
  add(table.keyspace, "table", table.name,
      made ? describe_virtual(table) : create_statement(table, statement_.internals));
}

void Describer::add_keyspace(const std::string& name, bool with_tables) {
  std::string text;
  if (const Keyspace* keyspace = schema_.keyspace(name)) {
    text = create_statement(*keyspace);
  } else if (is_system_keyspace(name)) {
    Keyspace local;
    local.name = name;
    local.replication["class"] = "LocalStrategy";
    text = create_statement(local);
  } else {
    text = virtual_keyspace_text(name);
  }
  add(name, "keyspace", name, std::move(text));
  if (!with_tables) return;
  for (const auto& [table_name, table] : tables_of(name)) add_table(*table);
}

Answer<std::string> Describer::named_keyspace() const {
  const std::string& name = statement_.name.keyspace.empty() ? context_.keyspace : statement_.name.keyspace;
  if (name.empty()) return invalid("No keyspace specified and no current keyspace");
  if (!has_keyspace(name)) return invalid("'{}' not found in keyspaces", name);
  return name;
}

Answer<void> Describer::one_keyspace() {
  const std::string& name = statement_.name.name.empty() ? context_.keyspace : statement_.name.name;
  if (name.empty()) return invalid("No keyspace specified and no current keyspace");
  if (!has_keyspace(name)) return invalid("'{}' not found in keyspaces", name);
  add_keyspace(name, !statement_.only);
  return {};
}

Answer<void> Describer::one_table() {
  TRY(const std::string keyspace, named_keyspace());
  auto tables = tables_of(keyspace);
  auto it = tables.find(statement_.name.name);
  if (it == tables.end()) return invalid("Table '{}' not found in keyspace '{}'", statement_.name.name, keyspace);
  add_table(*it->second);
  return {};
}

Answer<void> Describer::anything() {
  const std::string& name = statement_.name.name;
  if (statement_.name.keyspace.empty()) {
    if (has_keyspace(name)) {
      add_keyspace(name, true);
      return {};
    }
    if (context_.keyspace.empty()) return invalid("'{}' not found in keyspaces", name);
  }
  TRY(const std::string keyspace, named_keyspace());
  auto tables = tables_of(keyspace);
  auto it = tables.find(name);
  if (it == tables.end()) return invalid("'{}' not found in keyspace '{}'", name, keyspace);
  add_table(*it->second);
  return {};
}

Answer<void> Describer::nothing_of(const char* what) const {
  TRY(const std::string keyspace, named_keyspace());
  return invalid("{} '{}' not found in keyspace '{}'", what, statement_.name.name, keyspace);
}

void Describer::lists() {
  for (const auto& keyspace : keyspace_names()) {
    if (statement_.kind == Describe::Kind::keyspaces) add(keyspace, "keyspace", keyspace);
    if (statement_.kind != Describe::Kind::tables) continue;
    if (!context_.keyspace.empty() && keyspace != context_.keyspace) continue;
    for (const auto& [name, table] : tables_of(keyspace)) add(keyspace, "table", name);
  }
}

Answer<DescribeResult> Describer::run() {
  using Kind = Describe::Kind;
  Answer<void> done;
  with_text_ = !(statement_.kind <= Kind::aggregates);
  result_.metadata = with_text_ ? columns_of({"keyspace_name", "type", "name", "create_statement"})
                                : columns_of({"keyspace_name", "type", "name"});
  switch (statement_.kind) {
    case Kind::keyspaces:
    case Kind::tables:
    case Kind::types:
    case Kind::functions:
    case Kind::aggregates:
      lists();
      break;
    case Kind::cluster:
      result_.metadata = columns_of({"cluster", "partitioner", "snitch"});
      result_.rows = {{context_.cluster_name, Bytes(partitioner), Bytes(snitch)}};
      break;
    case Kind::schema:
      for (const auto& name : keyspace_names())
        if (statement_.full || schema_.keyspace(name) != nullptr) add_keyspace(name, true);
      break;
    case Kind::keyspace:
      done = one_keyspace();
      break;
    case Kind::table:
      done = one_table();
      break;
    case Kind::any:
      done = anything();
      break;
    case Kind::type:
      done = nothing_of("User defined type");
      break;
    case Kind::function:
      done = nothing_of("User defined function");
      break;
    case Kind::aggregate:
      done = nothing_of("User defined aggregate");
      break;
    case Kind::index:
      done = nothing_of("Table for existing index");
      break;
    case Kind::materialized_view:
      done = nothing_of("Materialized view");
      break;
  }
  if (!done) return std::unexpected(std::move(done.error()));
  return std::move(result_);
}

}  // namespace

std::string create_statement(const Keyspace& keyspace) {
  std::vector<std::string> options;
  if (auto it = keyspace.replication.find("class"); it != keyspace.replication.end())
    options.push_back("'class': " + quote_string(it->second));
  for (const auto& [name, value] : keyspace.replication)
    if (name != "class") options.push_back(fmt::format("{}: {}", quote_string(name), quote_string(value)));
  return fmt::format("CREATE KEYSPACE {} WITH replication = {{{}}}  AND durable_writes = {};",
                     quote_identifier(keyspace.name), join(options), keyspace.durable_writes);
}

std::string create_statement(const Table& table, bool internals) {
  std::string text = definition(table, "CREATE TABLE");
  const auto found = properties(table, internals);
  if (!found.empty()) text += fmt::format(" WITH {}", fmt::join(found, "\n    AND "));
  text += ";";
  if (!internals) return text;
  for (const auto& dropped : table.dropped)
    text += fmt::format("\nALTER TABLE {}.{} DROP {} USING TIMESTAMP {};", quote_identifier(table.keyspace),
                        quote_identifier(table.name), quote_identifier(dropped.name), dropped.dropped_us);
  return text;
}

std::string describe_virtual(const Table& table) {
  return fmt::format(
      "/*\nWarning: Table {}.{} is a virtual table and cannot be recreated with CQL.\nStructure, for "
      "reference:\n{};\n*/",
      quote_identifier(table.keyspace), quote_identifier(table.name), definition(table, "VIRTUAL TABLE"));
}

Answer<DescribeResult> describe(const Describe& statement, const DescribeContext& context) {
  return Describer(statement, context).run();
}

}  // namespace asterism::cql
