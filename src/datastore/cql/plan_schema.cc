#include "datastore/cql/plan_schema.h"

#include <algorithm>
#include <set>

#include "datastore/cql/function.h"
#include "datastore/cql/parser.h"
#include "datastore/cql/where.h"

namespace asterism::cql {

using datastore::Keyspace;
using datastore::Schema;
using wire::SchemaChange;

namespace {

template <class... Args>
std::unexpected<wire::ErrorResponse> bad_config(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(
      wire::ErrorResponse{wire::CqlErrorCode::config_error, fmt::format(format, std::forward<Args>(args)...), {}});
}

bool is_valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 48 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Answer<std::map<std::string, std::string>> string_map(const std::string& option, const Term& term) {
  if (term.kind != Term::Kind::map && !(term.kind == Term::Kind::set && term.items.empty())) {
    return std::unexpected(
        wire::ErrorResponse{wire::CqlErrorCode::syntax_error,
                            fmt::format("Invalid value for property '{}'. It should be a map.", option),
                            {}});
  }
  std::map<std::string, std::string> map;
  for (size_t i = 0; i + 1 < term.items.size(); i += 2) map[term.items[i].text] = term.items[i + 1].text;
  return map;
}

Answer<void> keyspace_options(const Options& options, Keyspace& keyspace) {
  for (const auto& [name, value] : options) {
    if (name == "replication") {
      TRY(keyspace.replication, string_map(name, value));
    } else if (name == "durable_writes") {
      if (value.text != "true" && value.text != "false") {
        return std::unexpected(
            wire::ErrorResponse{wire::CqlErrorCode::syntax_error,
                                fmt::format("Invalid value for property 'durable_writes'. It should be a boolean"),
                                {}});
      }
      keyspace.durable_writes = value.text == "true";
    } else {
      return std::unexpected(
          wire::ErrorResponse{wire::CqlErrorCode::syntax_error, fmt::format("Unknown property '{}'", name), {}});
    }
  }
  if (keyspace.replication.empty()) return bad_config("Missing mandatory option 'replication'");
  if (Status checked = datastore::check_replication(keyspace.replication); !checked) {
    return bad_config("{}", checked.error().message);
  }
  return {};
}

SchemaChange changed(SchemaChange::Change change, const std::string& keyspace, const std::string& table = "") {
  return {change, table.empty() ? SchemaChange::Target::keyspace : SchemaChange::Target::table, keyspace, table, {}};
}

/// Builds the table of a CREATE TABLE.
class TableMaker {
 public:
  explicit TableMaker(const CreateTable& statement) : statement_(statement) {}

  Answer<datastore::Table> run() {
    table_.keyspace = statement_.table.keyspace;
    table_.name = statement_.table.name;
    if (!is_valid_name(table_.name)) {
      return invalid(
          "Table name must not be empty, more than 48 characters long, or contain non-alphanumeric-underscore "
          "characters (got \"{}\")",
          table_.name);
    }
    if (statement_.compact_storage) return invalid("COMPACT STORAGE tables are not allowed");
    TRY_STATUS(types());
    if (statement_.primary_keys == 0) {
      return invalid("No PRIMARY KEY specifed for table '{}' (exactly one required)", table_.name);
    }
    if (statement_.primary_keys > 1) {
      return invalid("Multiple PRIMARY KEYs specifed for table '{}' (exactly one required)", table_.name);
    }
    for (const std::string& name : statement_.partition_key) {
      TRY_STATUS(add_key(name, ColumnKind::partition_key));
    }
    for (const std::string& name : statement_.clustering_key) {
      TRY_STATUS(add_key(name, ColumnKind::clustering));
    }
    TRY_STATUS(clustering_order());
    for (const auto& [name, definition] : columns_) {
      if (keys_.contains(name)) continue;
      if (definition->is_static && statement_.clustering_key.empty()) {
        return invalid(
            "Static columns are only useful (and thus allowed) if the table has at least one clustering column");
      }
      Column column;
      column.name = name;
      column.type = column_types_.at(name);
      column.kind = definition->is_static ? ColumnKind::static_ : ColumnKind::regular;
      if (column.type.kind() == TypeKind::counter) return invalid("Counter columns are not supported yet");
      table_.columns.push_back(std::move(column));
    }
    TRY(table_.options, table_options(statement_.options, false));
    return std::move(table_);
  }

 private:
  Answer<void> types() {
    for (const ColumnDefinition& definition : statement_.columns) {
      if (!columns_.emplace(definition.name, &definition).second) {
        return invalid("Duplicate column '{}' declaration for table '{}'", definition.name, table_.name);
      }
      TRY(DataType type, answer(DataType::parse(definition.type.text)));
      column_types_.emplace(definition.name, std::move(type));
    }
    return {};
  }

  Answer<void> add_key(const std::string& name, ColumnKind kind) {
    auto found = columns_.find(name);
    if (found == columns_.end())
      return invalid("Unknown column '{}' referenced in PRIMARY KEY for table '{}'", name, table_.name);
    if (!keys_.insert(name).second) {
      return invalid("Duplicate column '{}' in PRIMARY KEY clause for table '{}'", name, table_.name);
    }
    const DataType& type = column_types_.at(name);
    if (found->second->is_static) return invalid("Static column '{}' cannot be part of the PRIMARY KEY", name);
    if (type.is_multi_cell())
      return invalid("Invalid non-frozen collection type {} for PRIMARY KEY column '{}'", type.to_string(), name);
    if (type.kind() == TypeKind::counter)
      return invalid("counter type is not supported for PRIMARY KEY column '{}'", name);
    if (type.mentions(TypeKind::duration)) {
      return invalid("duration type is not supported for PRIMARY KEY column '{}'", name);
    }
    Column column;
    column.name = name;
    column.type = type;
    column.kind = kind;
    column.position = static_cast<uint32_t>(table_.count(kind));
    table_.columns.push_back(std::move(column));
    return {};
  }

  Answer<void> clustering_order() {
    const auto& order = statement_.clustering_order;
    if (order.empty()) return {};
    if (order.size() > statement_.clustering_key.size()) {
      return invalid(
          "Only clustering columns can be defined in CLUSTERING ORDER directive: {} are not clustering columns",
          order.back().column);
    }
    for (size_t i = 0; i < statement_.clustering_key.size(); ++i) {
      if (i >= order.size()) {
        return invalid("Missing CLUSTERING ORDER for column {}", statement_.clustering_key[i]);
      }
      if (order[i].column != statement_.clustering_key[i]) {
        if (std::ranges::find(statement_.clustering_key, order[i].column) == statement_.clustering_key.end()) {
          return invalid(
              "Only clustering columns can be defined in CLUSTERING ORDER directive: [{}] are not clustering "
              "columns",
              order[i].column);
        }
        return invalid(
            "Clustering columns in CLUSTERING ORDER directive must match their order in the PRIMARY KEY: "
            "[{}]",
            fmt::join(statement_.clustering_key, ", "));
      }
      table_.columns[table_.partition_key_size() + i].descending = order[i].descending;
    }
    return {};
  }

  const CreateTable& statement_;
  datastore::Table table_;
  std::map<std::string, const ColumnDefinition*> columns_;
  std::map<std::string, DataType> column_types_;
  std::set<std::string> keys_;
};

/// Makes the step of each kind of statement.
class StepMaker {
 public:
  StepMaker(const Catalog& catalog, Random& random, int64_t timestamp_us)
      : catalog_(catalog), schema_(catalog.schema), random_(random), timestamp_us_(timestamp_us) {}

  Answer<SchemaStep> operator()(const CreateKeyspace& statement) {
    TRY_STATUS(refuse_system(statement.name));
    if (!is_valid_name(statement.name)) {
      return invalid(
          "Keyspace name must not be empty, more than 48 characters long, or contain "
          "non-alphanumeric-underscore characters (got \"{}\")",
          statement.name);
    }
    Keyspace keyspace;
    keyspace.name = statement.name;
    TRY_STATUS(keyspace_options(statement.options, keyspace));
    if (schema_.keyspace(statement.name) != nullptr) {
      if (statement.if_not_exists) return SchemaStep();
      return std::unexpected(already_exists(statement.name, ""));
    }
    return SchemaStep{Schema::create_keyspace(keyspace), changed(SchemaChange::Change::created, keyspace.name),
                      statement.if_not_exists, false};
  }

  Answer<SchemaStep> operator()(const AlterKeyspace& statement) {
    TRY_STATUS(refuse_system(statement.name));
    const Keyspace* old = schema_.keyspace(statement.name);
    if (old == nullptr) {
      if (statement.if_exists) return SchemaStep();
      return invalid("Keyspace '{}' doesn't exist", statement.name);
    }
    Keyspace keyspace;
    keyspace.name = old->name;
    keyspace.replication = old->replication;
    keyspace.durable_writes = old->durable_writes;
    TRY_STATUS(keyspace_options(statement.options, keyspace));
    return SchemaStep{Schema::alter_keyspace(keyspace), changed(SchemaChange::Change::updated, keyspace.name), false,
                      statement.if_exists};
  }

  Answer<SchemaStep> operator()(const DropKeyspace& statement) {
    TRY_STATUS(refuse_system(statement.name));
    if (schema_.keyspace(statement.name) == nullptr) {
      if (statement.if_exists) return SchemaStep();
      return invalid("Keyspace '{}' doesn't exist", statement.name);
    }
    return SchemaStep{Schema::drop_keyspace(statement.name), changed(SchemaChange::Change::dropped, statement.name),
                      false, statement.if_exists};
  }

  Answer<SchemaStep> operator()(const CreateTable& statement) {
    const auto& [keyspace, name, at] = statement.table;
    TRY_STATUS(refuse_system(keyspace));
    if (schema_.keyspace(keyspace) == nullptr) return invalid("Keyspace '{}' doesn't exist", keyspace);
    TRY(datastore::Table table, TableMaker(statement).run());
    if (schema_.table(keyspace, name)) {
      if (statement.if_not_exists) return SchemaStep();
      return std::unexpected(already_exists(keyspace, name));
    }
    table.id = random_uuid(random_);
    return SchemaStep{Schema::create_table(table), changed(SchemaChange::Change::created, keyspace, name),
                      statement.if_not_exists, false};
  }

  Answer<SchemaStep> operator()(const AlterTable& statement) {
    const auto& [keyspace, name, at] = statement.table;
    TRY_STATUS(refuse_system(keyspace));
    const TablePtr table = schema_.table(keyspace, name);
    if (!table) {
      if (statement.if_exists) return SchemaStep();
      return invalid("Table '{}.{}' doesn't exist", keyspace, name);
    }
    datastore::AlterTableCommand command;
    command.keyspace = keyspace;
    command.table = name;
    switch (statement.action) {
      case AlterTable::Action::add:
        TRY_STATUS(add_columns(statement, *table, command));
        break;
      case AlterTable::Action::drop:
        TRY_STATUS(drop_columns(statement, *table, command));
        break;
      case AlterTable::Action::rename:
        TRY_STATUS(rename_columns(statement, *table, command));
        break;
      case AlterTable::Action::with: {
        TRY(command.options, table_options(statement.options, true));
        break;
      }
      case AlterTable::Action::alter_type:
        return invalid("Altering column types is no longer supported");
      case AlterTable::Action::drop_compact_storage:
        return invalid("Cannot DROP COMPACT STORAGE on table without COMPACT STORAGE");
    }
    SchemaStep step;
    step.change = changed(SchemaChange::Change::updated, keyspace, name);
    if (!command.add.empty() || !command.drop.empty() || !command.rename.empty() || !command.options.empty()) {
      step.command = Schema::alter_table(command);
    }
    return step;
  }

  Answer<SchemaStep> operator()(const DropTable& statement) {
    const auto& [keyspace, name, at] = statement.table;
    TRY_STATUS(refuse_system(keyspace));
    if (!schema_.table(keyspace, name)) {
      if (statement.if_exists) return SchemaStep();
      return invalid("Table '{}.{}' doesn't exist", keyspace, name);
    }
    return SchemaStep{Schema::drop_table(keyspace, name), changed(SchemaChange::Change::dropped, keyspace, name), false,
                      statement.if_exists};
  }

  Answer<SchemaStep> operator()(const Truncate& statement) {
    const auto& [keyspace, name, at] = statement.table;
    if (catalog_.virtual_tables.find(keyspace, name)) return invalid("Cannot truncate virtual tables");
    TRY_STATUS(refuse_system(keyspace));
    if (!schema_.table(keyspace, name)) return invalid("table {} does not exist", name);
    return SchemaStep{Schema::truncate(keyspace, name), std::nullopt, false, false};
  }

 private:
  Answer<void> refuse_system(const std::string& keyspace) const {
    if (!catalog_.virtual_tables.has_keyspace(keyspace)) return {};
    return std::unexpected(wire::ErrorResponse{
        wire::CqlErrorCode::unauthorized, fmt::format("System keyspace '{}' is not user-modifiable", keyspace), {}});
  }

  Answer<void> add_columns(const AlterTable& statement, const Table& table, datastore::AlterTableCommand& command) {
    for (const ColumnDefinition& definition : statement.add) {
      const bool twice = std::ranges::find(command.add, definition.name, &Column::name) != command.add.end();
      if (table.find(definition.name) != nullptr || twice) {
        if (statement.column_if_exists) continue;
        return invalid("Column with name '{}' already exists", definition.name);
      }
      Column column;
      column.name = definition.name;
      TRY(column.type, answer(DataType::parse(definition.type.text)));
      if (column.type.kind() == TypeKind::counter) return invalid("Counter columns are not supported yet");
      if (definition.is_static && table.clustering_size() == 0) {
        return invalid(
            "Static columns are only useful (and thus allowed) if the table has at least one clustering column");
      }
      column.kind = definition.is_static ? ColumnKind::static_ : ColumnKind::regular;
      for (const auto& dropped : table.dropped) {
        if (dropped.name != column.name) continue;
        auto old = DataType::parse(dropped.type);
        if (!old || old->freeze() != column.type.freeze()) {
          return invalid("Cannot re-add previously dropped column '{}' of type {}, incompatible with previous type {}",
                         column.name, column.type.to_string(), dropped.type);
        }
      }
      command.add.push_back(std::move(column));
    }
    return {};
  }

  Answer<void> drop_columns(const AlterTable& statement, const Table& table, datastore::AlterTableCommand& command) {
    for (const std::string& name : statement.drop) {
      const Column* column = table.find(name);
      if (column == nullptr) {
        if (statement.column_if_exists) continue;
        return invalid("Column {} was not found in table '{}.{}'", name, table.keyspace, table.name);
      }
      if (column->is_key()) return invalid("Cannot drop PRIMARY KEY column {}", name);
      command.drop.push_back(name);
    }
    command.dropped_us = timestamp_us_;
    if (statement.drop_timestamp) {
      if (statement.drop_timestamp->kind != Term::Kind::integer) return invalid("Invalid timestamp value");
      command.dropped_us = std::strtoll(statement.drop_timestamp->text.c_str(), nullptr, 10);
    }
    return {};
  }

  Answer<void> rename_columns(const AlterTable& statement, const Table& table, datastore::AlterTableCommand& command) {
    for (const auto& [from, to] : statement.rename) {
      const Column* column = table.find(from);
      if (column == nullptr) {
        if (statement.column_if_exists) continue;
        return invalid("Column {} was not found in table {}.{}", from, table.keyspace, table.name);
      }
      if (!column->is_key()) return invalid("Cannot rename non PRIMARY KEY column {}", from);
      if (table.find(to) != nullptr) {
        return invalid("Cannot rename column {} to {} in table '{}.{}'; another column with that name already exists",
                       from, to, table.keyspace, table.name);
      }
      command.rename[from] = to;
    }
    return {};
  }

  const Catalog& catalog_;
  const Schema& schema_;
  Random& random_;
  int64_t timestamp_us_;
};

}  // namespace

namespace {

std::string resource_of(const SchemaPlan& plan) {
  return std::visit(
      [](const auto& statement) {
        if constexpr (requires { statement.table; }) {
          return table_resource(statement.table.keyspace, statement.table.name);
        } else {
          return keyspace_resource(statement.name);
        }
      },
      plan.statement);
}

}  // namespace

Bytes access_command(const SchemaPlan& plan, const Principal* principal) {
  const bool creates =
      std::holds_alternative<CreateKeyspace>(plan.statement) || std::holds_alternative<CreateTable>(plan.statement);
  const bool drops =
      std::holds_alternative<DropKeyspace>(plan.statement) || std::holds_alternative<DropTable>(plan.statement);
  const std::string resource = resource_of(plan);
  if (drops) return AccessState::forget(resource);
  if (creates && principal) return AccessState::permit(principal->role(), resource, permissions_of(resource));
  return {};
}

std::string summary(const SchemaPlan& plan) {
  static constexpr std::string_view verbs[] = {"CREATE KEYSPACE", "ALTER KEYSPACE", "DROP KEYSPACE", "CREATE TABLE",
                                               "ALTER TABLE",     "DROP TABLE",     "TRUNCATE"};
  static_assert(std::size(verbs) == std::variant_size_v<decltype(SchemaPlan::statement)>);
  return fmt::format("{} {}", verbs[plan.statement.index()], resource_name(resource_of(plan)));
}

wire::ErrorResponse already_exists(const std::string& keyspace, const std::string& table) {
  wire::ErrorResponse error;
  error.code = wire::CqlErrorCode::already_exists;
  error.message = table.empty() ? fmt::format("Keyspace '{}' already exists", keyspace)
                                : fmt::format("Table '{}.{}' already exists", keyspace, table);
  error.detail = wire::AlreadyExistsDetail{keyspace, table};
  return error;
}

Answer<SchemaStep> make_schema_step(const SchemaPlan& plan, const Catalog& catalog, Random& random,
                                    int64_t timestamp_us) {
  return std::visit(StepMaker(catalog, random, timestamp_us), plan.statement);
}

}  // namespace asterism::cql
