#include "datastore/cql/plan.h"

#include <algorithm>

#include "datastore/cql/parser.h"
#include "datastore/cql/plan_schema.h"
#include "datastore/cql/plan_select.h"
#include "datastore/cql/plan_write.h"

namespace asterism::cql {

wire::WireType wire_type_of(const DataType& type) {
  wire::WireType made;
  made.id = static_cast<wire::TypeId>(datastore::protocol_id(type.kind()));
  for (const DataType& argument : type.arguments()) made.parameters.push_back(wire_type_of(argument));
  return made;
}

namespace {

/// Drivers read these before they know what their user may do. What others have prepared is not among them.
bool is_read_by_everybody(std::string_view keyspace, std::string_view table) {
  if (keyspace == "system") return table != "prepared_statements";
  return keyspace == "system_schema" || keyspace == "system_virtual_schema";
}

class Planner {
 public:
  Planner(const Statement& statement, std::string_view keyspace, const Catalog& catalog)
      : statement_(statement), keyspace_(keyspace), catalog_(catalog), specs_(statement.markers) {}

  Answer<PlanPtr> run() {
    plan_->schema_version = catalog_.schema.version_index();
    TRY_STATUS(std::visit([this](const auto& body) { return make(body); }, statement_.body));
    plan_->bind_markers = specs_.take();
    for (const BindMarker& marker : statement_.markers) plan_->marker_names.push_back(marker.name);
    return PlanPtr(std::move(plan_));
  }

 private:
  struct Target {
    TablePtr table;
    const VirtualTable* virtual_table = nullptr;
  };

  Answer<std::string> resolve_keyspace(const QualifiedName& name) const {
    const std::string& keyspace = name.keyspace.empty() ? keyspace_ : name.keyspace;
    if (keyspace.empty()) {
      return invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename");
    }
    return keyspace;
  }

  void need(Permission permission, std::string resource) {
    Need made{permission, std::move(resource)};
    if (std::ranges::find(plan_->needs, made) == plan_->needs.end()) plan_->needs.push_back(std::move(made));
  }

  Answer<Target> resolve(const QualifiedName& name, Permission permission) {
    TRY(std::string keyspace, resolve_keyspace(name));
    Target target;
    target.virtual_table = catalog_.virtual_tables.find(keyspace, name.name);
    target.table = target.virtual_table ? target.virtual_table->table() : catalog_.schema.table(keyspace, name.name);
    if (!target.table) {
      const bool known = catalog_.schema.keyspace(keyspace) || catalog_.virtual_tables.has_keyspace(keyspace);
      if (!known) return invalid("keyspace {} does not exist", keyspace);
      return invalid("table {} does not exist", name.name);
    }
    if (!is_read_by_everybody(keyspace, name.name)) need(permission, table_resource(keyspace, name.name));
    plan_->keyspace = std::move(keyspace);
    plan_->table = name.name;
    return target;
  }

  Answer<TablePtr> resolve_for_write(const QualifiedName& name) {
    TRY(Target target, resolve(name, Permission::write));
    if (target.virtual_table)
      return invalid("Modification is not supported by table {}.{}", plan_->keyspace, name.name);
    return target.table;
  }

  Answer<void> make(const Select& select) {
    TRY(Target target, resolve(select.table, Permission::read));
    TRY(auto planned, plan_select(select, target.table, target.virtual_table, specs_));
    for (const Selection& selection : planned->selections) {
      plan_->result.columns.push_back(
          {target.table->keyspace, target.table->name, selection.name, wire_type_of(selection.type)});
    }
    plan_->result.column_count = static_cast<uint32_t>(plan_->result.columns.size());
    find_key_markers(planned->where);
    plan_->body = std::move(planned);
    return {};
  }

  Answer<WritePlanPtr> plan_write(const Insert& insert) {
    TRY(TablePtr table, resolve_for_write(insert.table));
    return plan_insert(insert, std::move(table), specs_);
  }
  Answer<WritePlanPtr> plan_write(const Update& update) {
    TRY(TablePtr table, resolve_for_write(update.table));
    return plan_update(update, std::move(table), specs_);
  }
  Answer<WritePlanPtr> plan_write(const Delete& statement) {
    TRY(TablePtr table, resolve_for_write(statement.table));
    return plan_delete(statement, std::move(table), specs_);
  }

  template <class Write>
    requires std::is_same_v<Write, Insert> || std::is_same_v<Write, Update> || std::is_same_v<Write, Delete>
  Answer<void> make(const Write& write) {
    TRY(WritePlanPtr planned, plan_write(write));
    find_key_markers(planned->where);
    plan_->body = std::move(planned);
    return {};
  }

  Answer<void> make(const Batch& batch) {
    if (batch.kind == Batch::Kind::counter) return invalid("Counters are not supported yet");
    if (batch.using_.ttl) return invalid("Global TTL on the BATCH statement is not supported.");
    auto planned = std::make_shared<BatchPlan>();
    planned->kind = batch.kind;
    if (batch.using_.timestamp) {
      TRY(planned->timestamp.emplace(), plan_timestamp(*batch.using_.timestamp, nullptr, specs_));
    }
    for (const auto& statement : batch.statements) {
      TRY(WritePlanPtr write, std::visit([this](const auto& body) { return plan_write(body); }, statement));
      if (planned->timestamp && write->timestamp) {
        return invalid("Timestamp must be set either on BATCH or individual statements");
      }
      if (planned->writes.empty()) find_key_markers(write->where);
      planned->writes.push_back(std::move(write));
    }
    plan_->body = std::move(planned);
    return {};
  }

  Answer<void> make(const Use& use) {
    const bool known = catalog_.schema.keyspace(use.keyspace) || catalog_.virtual_tables.has_keyspace(use.keyspace);
    if (!known) return invalid("Keyspace '{}' does not exist", use.keyspace);
    plan_->body = UsePlan{use.keyspace};
    return {};
  }

  template <class SchemaStatement>
    requires requires(SchemaPlan& plan, const SchemaStatement& statement) { plan.statement = statement; }
  Answer<void> make(const SchemaStatement& statement) {
    auto planned = std::make_shared<SchemaPlan>();
    if constexpr (requires { statement.table; }) {
      SchemaStatement resolved = statement;
      TRY(resolved.table.keyspace, resolve_keyspace(statement.table));
      plan_->keyspace = resolved.table.keyspace;
      plan_->table = resolved.table.name;
      need_for(resolved);
      planned->statement = std::move(resolved);
    } else {
      plan_->keyspace = statement.name;
      need_for(statement);
      planned->statement = statement;
    }
    plan_->body = std::move(planned);
    return {};
  }

  void need_for(const CreateKeyspace&) { need(Permission::create, std::string(data_resources)); }
  void need_for(const AlterKeyspace& statement) { need(Permission::alter, keyspace_resource(statement.name)); }
  void need_for(const DropKeyspace& statement) { need(Permission::drop, keyspace_resource(statement.name)); }
  void need_for(const CreateTable& statement) { need(Permission::create, keyspace_resource(statement.table.keyspace)); }
  void need_for(const AlterTable& statement) { need_for_table(Permission::alter, statement.table); }
  void need_for(const DropTable& statement) { need_for_table(Permission::drop, statement.table); }
  void need_for(const Truncate& statement) { need_for_table(Permission::write, statement.table); }
  void need_for_table(Permission permission, const QualifiedName& table) {
    need(permission, table_resource(table.keyspace, table.name));
  }

  Answer<void> make(const RoleStatement&) { return invalid("Statements about roles cannot be prepared"); }
  Answer<void> make(const Describe&) { return invalid("DESCRIBE is not supported yet"); }
  Answer<void> make(const Unsupported& statement) { return invalid("{} is not supported yet", statement.what); }

  /// Which markers are the partition key's columns, alone and compared with =.
  void find_key_markers(const WherePlan& where) {
    for (const Restriction& restriction : where.partition) {
      const bool bound = restriction.op == Operator::equal && restriction.alternatives.size() == 1 &&
                         restriction.alternatives[0].parts[0].is_bare_marker();
      if (!bound) {
        plan_->partition_key_indexes.clear();
        return;
      }
      plan_->partition_key_indexes.push_back(static_cast<uint16_t>(restriction.alternatives[0].parts[0].marker));
    }
  }

  const Statement& statement_;
  std::string keyspace_;
  const Catalog& catalog_;
  MarkerSpecs specs_;
  std::shared_ptr<Plan> plan_ = std::make_shared<Plan>();
};

}  // namespace

Answer<PlanPtr> make_plan(const Statement& statement, std::string_view keyspace, const Catalog& catalog) {
  return Planner(statement, keyspace, catalog).run();
}

Answer<PlanPtr> make_plan(std::string_view text, std::string_view keyspace, const Catalog& catalog) {
  auto statement = parse(text);
  if (!statement) {
    return std::unexpected(wire::ErrorResponse{wire::CqlErrorCode::syntax_error, statement.error().message, {}});
  }
  return make_plan(*statement, keyspace, catalog);
}

}  // namespace asterism::cql
