// system_schema and system_virtual_schema: what the node has, as tables.
#include "datastore/cql/system_rows.h"

namespace asterism::cql {

using datastore::Column;
using datastore::ColumnKind;
using datastore::Keyspace;
using datastore::Schema;
using datastore::Table;
using Rows = std::vector<VirtualRow>;

namespace {

constexpr std::string_view strategy_package = "org.apache.cassandra.locator.";

/// Columns of system_schema.tables that show an option of the same name, and what tables without the option have.
struct OptionColumn {
  const char* name;
  const char* type;
  const char* otherwise;
};
constexpr OptionColumn option_columns[] = {
    {"additional_write_policy", "text", "99p"},
    {"allow_auto_snapshot", "boolean", nullptr},
    {"bloom_filter_fp_chance", "double", "0.01"},
    {"caching", "frozen<map<text, text>>", "{'keys': 'ALL', 'rows_per_partition': 'NONE'}"},
    {"cdc", "boolean", nullptr},
    {"comment", "text", ""},
    {"compaction", "frozen<map<text, text>>",
     "{'class': 'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', 'max_threshold': '32', "
     "'min_threshold': '4'}"},
    {"compression", "frozen<map<text, text>>",
     "{'chunk_length_in_kb': '16', 'class': 'org.apache.cassandra.io.compress.LZ4Compressor'}"},
    {"crc_check_chance", "double", "1.0"},
    {"dclocal_read_repair_chance", "double", "0.0"},
    {"default_time_to_live", "int", "0"},
    {"extensions", "frozen<map<text, blob>>", "{}"},
    {"gc_grace_seconds", "int", "0"},
    {"incremental_backups", "boolean", nullptr},
    {"max_index_interval", "int", "2048"},
    {"memtable", "text", nullptr},
    {"memtable_flush_period_in_ms", "int", "0"},
    {"min_index_interval", "int", "128"},
    {"read_repair", "text", "BLOCKING"},
    {"read_repair_chance", "double", "0.0"},
    {"speculative_retry", "text", "99p"},
};

using VisitTable = std::function<void(const Table&)>;

/// The tables that system_schema lists: those of users and those that Cassandra keeps itself.
void each_real_table(const Schema& schema, const VirtualTables& tables, const VisitTable& visit) {
  for (const auto& [name, keyspace] : schema.keyspaces())
    for (const auto& [table_name, table] : keyspace.tables) visit(*table);
  for (const auto& [name, in_keyspace] : tables.keyspaces())
    if (is_system_keyspace(name))
      for (const auto& [table_name, table] : in_keyspace) visit(*table->table());
}

void each_virtual_table(const VirtualTables& tables, const VisitTable& visit) {
  for (const auto& [name, in_keyspace] : tables.keyspaces())
    if (!is_system_keyspace(name))
      for (const auto& [table_name, table] : in_keyspace) visit(*table->table());
}

Rows keyspaces_rows(const Schema& schema, const VirtualTables& tables, const Table& of) {
  Rows rows;
  auto add = [&](const std::string& name, bool durable, std::map<std::string, std::string> replication) {
    auto& strategy = replication["class"];
    if (strategy.find('.') == std::string::npos) strategy.insert(0, strategy_package);
    RowMaker row(of);
    row.text("keyspace_name", name).boolean("durable_writes", durable).text_map("replication", replication);
    rows.push_back(row.take());
  };
  for (const auto& [name, keyspace] : schema.keyspaces()) add(name, keyspace.durable_writes, keyspace.replication);
  for (const auto& [name, in_keyspace] : tables.keyspaces())
    if (is_system_keyspace(name)) add(name, true, {{"class", "LocalStrategy"}});
  return rows;
}

void table_row(const Table& table, const Table& of, Rows& rows) {
  RowMaker row(of);
  row.text("keyspace_name", table.keyspace).text("table_name", table.name).raw("id", table.id);
  row.text_set("flags", {"compound"});
  for (const auto& column : option_columns) {
    auto option = table.options.find(column.name);
    if (option != table.options.end())
      row.option(column.name, option->second);
    else if (column.otherwise != nullptr)
      row.option(column.name, column.otherwise);
  }
  rows.push_back(row.take());
}

std::string_view kind_name(ColumnKind kind) {
  constexpr std::string_view names[] = {"partition_key", "clustering", "static", "regular"};
  return names[static_cast<size_t>(kind)];
}

void column_rows(const Table& table, const Table& of, Rows& rows) {
  for (const Column& column : table.columns) {
    const bool clusters = column.kind == ColumnKind::clustering;
    RowMaker row(of);
    row.text("keyspace_name", table.keyspace)
        .text("table_name", table.name)
        .text("column_name", column.name)
        .text("clustering_order", clusters ? (column.descending ? "desc" : "asc") : "none")
        .raw("column_name_bytes", column.name)
        .text("kind", kind_name(column.kind))
        .i32("position", column.is_key() ? static_cast<int32_t>(column.position) : -1)
        .text("type", column.type.to_string());
    rows.push_back(row.take());
  }
}

void dropped_rows(const Table& table, const Table& of, Rows& rows) {
  std::map<std::string, datastore::DroppedColumn> latest;
  for (const auto& dropped : table.dropped) latest[dropped.name] = dropped;
  for (const auto& [name, dropped] : latest) {
    RowMaker row(of);
    row.text("keyspace_name", table.keyspace)
        .text("table_name", table.name)
        .text("column_name", name)
        .i64("dropped_time", dropped.dropped_us / 1000)
        .text("kind", kind_name(dropped.kind))
        .text("type", dropped.type);
    rows.push_back(row.take());
  }
}

/// A table of system_schema with rows for each table.
FunctionTable::Function for_each_table(const Schema& schema, const VirtualTables& tables,
                                       void (*make)(const Table&, const Table&, Rows&)) {
  return [&schema, &tables, make](const Table& of) {
    Rows rows;
    each_real_table(schema, tables, [&](const Table& table) { make(table, of, rows); });
    return rows;
  };
}

std::vector<std::string> with_options(std::vector<std::string> columns) {
  for (const auto& option : option_columns) columns.push_back(std::string(option.name) + " " + option.type);
  columns.push_back("id uuid");
  return columns;
}

const std::vector<std::string>& columns_columns() {
  static const std::vector<std::string> columns = {
      "p keyspace_name text",   "c table_name text", "c column_name text", "clustering_order text",
      "column_name_bytes blob", "kind text",         "position int",       "type text"};
  return columns;
}

/// User-defined types, functions, views, indexes and triggers: there are none, but drivers ask.
void add_empty_tables(VirtualTables& tables) {
  auto none = [](const Table&) { return Rows(); };
  auto add = [&](const char* name, std::vector<std::string> columns) {
    columns.insert(columns.begin(), "p keyspace_name text");
    tables.add(function_table("system_schema", name, std::move(columns), none));
  };
  add("types", {"c type_name text", "field_names frozen<list<text>>", "field_types frozen<list<text>>"});
  add("functions", {"c function_name text", "c argument_types frozen<list<text>>", "argument_names frozen<list<text>>",
                    "body text", "called_on_null_input boolean", "language text", "return_type text"});
  add("aggregates", {"c aggregate_name text", "c argument_types frozen<list<text>>", "final_func text", "initcond text",
                     "return_type text", "state_func text", "state_type text"});
  add("views", with_options({"c view_name text", "base_table_id uuid", "base_table_name text",
                             "include_all_columns boolean", "where_clause text"}));
  add("indexes", {"c table_name text", "c index_name text", "kind text", "options frozen<map<text, text>>"});
  add("triggers", {"c table_name text", "c trigger_name text", "options frozen<map<text, text>>"});
}

void add_virtual_schema(VirtualTables& tables) {
  constexpr const char* keyspace = "system_virtual_schema";
  tables.add(function_table(keyspace, "keyspaces", {"p keyspace_name text"}, [&tables](const Table& of) {
    Rows rows;
    for (const auto& [name, in_keyspace] : tables.keyspaces())
      if (!is_system_keyspace(name)) rows.push_back(RowMaker(of).text("keyspace_name", name).take());
    return rows;
  }));
  tables.add(function_table(
      keyspace, "tables", {"p keyspace_name text", "c table_name text", "comment text"}, [&tables](const Table& of) {
        Rows rows;
        each_virtual_table(tables, [&](const Table& table) {
          RowMaker row(of);
          row.text("keyspace_name", table.keyspace).text("table_name", table.name).text("comment", "");
          rows.push_back(row.take());
        });
        return rows;
      }));
  tables.add(function_table(keyspace, "columns", columns_columns(), [&tables](const Table& of) {
    Rows rows;
    each_virtual_table(tables, [&](const Table& table) { column_rows(table, of, rows); });
    return rows;
  }));
}

}  // namespace

void add_schema_tables(VirtualTables& tables, const Schema& schema) {
  tables.add(function_table("system_schema", "keyspaces",
                            {"p keyspace_name text", "durable_writes boolean", "replication frozen<map<text, text>>"},
                            [&schema, &tables](const Table& of) { return keyspaces_rows(schema, tables, of); }));
  tables.add(function_table("system_schema", "tables",
                            with_options({"p keyspace_name text", "c table_name text", "flags frozen<set<text>>"}),
                            for_each_table(schema, tables, table_row)));
  tables.add(
      function_table("system_schema", "columns", columns_columns(), for_each_table(schema, tables, column_rows)));
  tables.add(function_table("system_schema", "dropped_columns",
                            {"p keyspace_name text", "c table_name text", "c column_name text",
                             "dropped_time timestamp", "kind text", "type text"},
                            for_each_table(schema, tables, dropped_rows)));
  add_empty_tables(tables);
  add_virtual_schema(tables);
}

}  // namespace asterism::cql
