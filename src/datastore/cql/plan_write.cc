#include "datastore/cql/plan_write.h"

#include <algorithm>
#include <set>

namespace asterism::cql {

namespace {

Answer<void> plan_using(const Using& using_, WritePlan& plan, MarkerSpecs& specs) {
  if (plan.kind != WritePlan::Kind::delete_) plan.default_ttl_s = plan.table->number_option("default_time_to_live", 0);
  if (using_.timestamp) {
    TRY(plan.timestamp.emplace(), plan_timestamp(*using_.timestamp, plan.table.get(), specs));
  }
  if (using_.ttl) {
    TRY(plan.ttl.emplace(), make_expression(*using_.ttl, {plan.table.get(), "[ttl]", TypeKind::int_}, specs));
  }
  return {};
}

Answer<void> refuse_counters(const Table& table) {
  for (const Column& column : table.columns) {
    if (column.type.kind() == TypeKind::counter) return invalid("Counters are not supported yet");
  }
  return {};
}

/// Clustering columns that no condition fixes.
std::vector<std::string> missing_clustering(const WritePlan& plan) {
  std::vector<std::string> missing;
  for (size_t i = plan.where.fixed_clustering; i < plan.table->clustering_size(); ++i) {
    missing.push_back(plan.table->clustering_column(i).name);
  }
  return missing;
}

bool only_static(const WritePlan& plan) {
  return !plan.changes.empty() && std::ranges::all_of(plan.changes, [](const ColumnChange& change) {
    return change.column->kind == ColumnKind::static_;
  });
}

std::string shape(const Assignment& assignment) {
  const std::string& name = assignment.column;
  switch (assignment.kind) {
    case Assignment::Kind::append:
      return fmt::format("{} = {} + ...", name, name);
    case Assignment::Kind::prepend:
      return fmt::format("{} = ... + {}", name, name);
    case Assignment::Kind::remove:
      return fmt::format("{} = {} - ...", name, name);
    default:
      return fmt::format("{}[...] = ...", name);
  }
}

Answer<Expression> plan_element_key(const Column& column, const Term& key, const Table& table, MarkerSpecs& specs) {
  if (column.type.kind() == TypeKind::list) {
    return make_expression(key, {&table, fmt::format("idx({})", column.name), TypeKind::int_}, specs);
  }
  const DataType& type = column.type.arguments()[0];
  const char* part = column.type.kind() == TypeKind::map ? "key" : "value";
  return make_expression(key, {&table, fmt::format("{}({})", part, column.name), type}, specs);
}

Answer<ColumnChange> plan_assignment(const Assignment& assignment, const Table& table, MarkerSpecs& specs) {
  TRY(const Column* column, find_column(table, assignment.column));
  if (column->is_key()) return invalid("PRIMARY KEY part {} found in SET part", column->name);
  ColumnChange change;
  change.column = column;
  Receiver receiver{&table, column->name, column->type};
  const DataType& type = column->type;
  using Kind = Assignment::Kind;
  if (assignment.kind == Kind::field) {
    return invalid("Invalid operation ({}.{} = ...) for non-UDT column {}", column->name, assignment.field,
                   column->name);
  }
  if (assignment.kind != Kind::set) {
    if (!type.is_collection()) {
      return invalid("Invalid operation ({}) for non collection column {}", shape(assignment), column->name);
    }
    if (!type.is_multi_cell()) {
      return invalid("Invalid operation ({}) for frozen collection column {}", shape(assignment), column->name);
    }
  }
  switch (assignment.kind) {
    case Kind::append:
      change.kind = ColumnChange::Kind::append;
      break;
    case Kind::prepend:
      if (type.kind() != TypeKind::list) {
        return invalid("Invalid operation ({}) for non list column {}", shape(assignment), column->name);
      }
      change.kind = ColumnChange::Kind::prepend;
      break;
    case Kind::remove:
      change.kind = ColumnChange::Kind::remove;
      if (type.kind() == TypeKind::map) receiver.type = DataType::set(type.key());
      break;
    case Kind::element: {
      if (type.kind() == TypeKind::set) {
        return invalid("Invalid operation ({}) for set column {}", shape(assignment), column->name);
      }
      change.kind = ColumnChange::Kind::element;
      TRY(change.key.emplace(), plan_element_key(*column, *assignment.key, table, specs));
      receiver.name = fmt::format("value({})", column->name);
      receiver.type = type.kind() == TypeKind::map ? type.value() : type.element();
      break;
    }
    default:
      break;
  }
  TRY(change.value, make_expression(assignment.value, receiver, specs));
  return change;
}

/// Two changes of one column must touch different elements.
Answer<void> check_changes(const std::vector<ColumnChange>& changes) {
  for (size_t i = 0; i < changes.size(); ++i) {
    for (size_t j = i + 1; j < changes.size(); ++j) {
      if (changes[i].column != changes[j].column) continue;
      const bool sets = changes[i].kind == ColumnChange::Kind::set || changes[j].kind == ColumnChange::Kind::set;
      if (sets) return invalid("Multiple incompatible setting of column {}", changes[i].column->name);
    }
  }
  return {};
}

}  // namespace

Answer<Expression> plan_timestamp(const Term& term, const Table* table, MarkerSpecs& specs) {
  return make_expression(term, {table, "[timestamp]", TypeKind::bigint}, specs);
}

Answer<WritePlanPtr> plan_insert(const Insert& insert, TablePtr table, MarkerSpecs& specs) {
  TRY_STATUS(refuse_counters(*table));
  if (insert.json) return invalid("INSERT JSON is not supported yet");
  if (insert.columns.size() != insert.values.size()) return invalid("Unmatched column names/values");
  if (insert.columns.empty()) return invalid("No columns provided to INSERT");
  auto plan = std::make_shared<WritePlan>();
  plan->conditional = insert.if_not_exists;
  plan->kind = WritePlan::Kind::insert;
  plan->table = table;
  std::vector<Relation> keys;
  std::set<std::string> seen;
  for (size_t i = 0; i < insert.columns.size(); ++i) {
    TRY(const Column* column, find_column(*table, insert.columns[i]));
    if (!seen.insert(column->name).second) return invalid("Multiple definitions found for column {}", column->name);
    if (column->is_key()) {
      Relation relation;
      relation.columns = {column->name};
      relation.values = {insert.values[i]};
      keys.push_back(std::move(relation));
      continue;
    }
    ColumnChange change;
    change.column = column;
    TRY(change.value, make_expression(insert.values[i], {table.get(), column->name, column->type}, specs));
    plan->changes.push_back(std::move(change));
  }
  // Missing keys first: their error is clearer than that of a gap.
  std::vector<std::string> gaps;
  bool any_clustering = false;
  for (size_t i = 0; i < table->clustering_size(); ++i) {
    const std::string& name = table->clustering_column(i).name;
    seen.contains(name) ? void(any_clustering = true) : gaps.push_back(name);
  }
  const bool static_only = !any_clustering && only_static(*plan);
  bool partition_whole = true;
  for (size_t i = 0; i < table->partition_key_size(); ++i) {
    partition_whole &= seen.contains(table->partition_column(i).name);
  }
  if (partition_whole && !gaps.empty() && !static_only) {
    return invalid("Some clustering keys are missing: {}", fmt::join(gaps, ", "));
  }
  TRY(plan->where, make_where(keys, table, WhereUse::insert, false, specs));
  TRY_STATUS(plan_using(insert.using_, *plan, specs));
  plan->addresses_rows = gaps.empty();
  return WritePlanPtr(std::move(plan));
}

Answer<WritePlanPtr> plan_update(const Update& update, TablePtr table, MarkerSpecs& specs) {
  if (!update.conditions.empty()) return invalid("{}", no_transactions);
  TRY_STATUS(refuse_counters(*table));
  auto plan = std::make_shared<WritePlan>();
  plan->kind = WritePlan::Kind::update;
  plan->conditional = update.if_exists;
  plan->table = table;
  for (const Assignment& assignment : update.assignments) {
    TRY(ColumnChange change, plan_assignment(assignment, *table, specs));
    plan->changes.push_back(std::move(change));
  }
  TRY_STATUS(check_changes(plan->changes));
  TRY(plan->where, make_where(update.where, table, WhereUse::update, false, specs));
  TRY_STATUS(plan_using(update.using_, *plan, specs));
  const auto missing = missing_clustering(*plan);
  if (only_static(*plan) && table->clustering_size() > 0) {
    if (plan->where.restricts_clustering) {
      return invalid(
          "Invalid restrictions on clustering columns since the UPDATE statement modifies only static columns");
    }
    return WritePlanPtr(std::move(plan));
  }
  if (std::ranges::any_of(plan->where.clustering, &Restriction::is_slice)) {
    return invalid("Slice restrictions are not supported on the clustering columns in UPDATE statements");
  }
  if (!missing.empty()) return invalid("Some clustering keys are missing: {}", fmt::join(missing, ", "));
  plan->addresses_rows = true;
  return WritePlanPtr(std::move(plan));
}

Answer<WritePlanPtr> plan_delete(const Delete& statement, TablePtr table, MarkerSpecs& specs) {
  if (!statement.conditions.empty()) return invalid("{}", no_transactions);
  TRY_STATUS(refuse_counters(*table));
  auto plan = std::make_shared<WritePlan>();
  plan->kind = WritePlan::Kind::delete_;
  plan->conditional = statement.if_exists;
  plan->table = table;
  for (const Deletion& deletion : statement.deletions) {
    TRY(const Column* column, find_column(*table, deletion.column));
    if (column->is_key()) {
      return invalid("Invalid identifier {} for deletion (should not be a PRIMARY KEY part)", column->name);
    }
    ColumnChange change;
    change.column = column;
    change.value.type = column->type;
    change.value.what = column->name;
    if (!deletion.field.empty()) {
      return invalid("Invalid field deletion operation for non-UDT column {}", column->name);
    }
    if (deletion.key) {
      if (!column->type.is_collection()) {
        return invalid("Invalid deletion operation for non collection column {}", column->name);
      }
      if (!column->type.is_multi_cell()) {
        return invalid("Invalid deletion operation for frozen collection column {}", column->name);
      }
      change.kind = ColumnChange::Kind::element;
      TRY(change.key.emplace(), plan_element_key(*column, *deletion.key, *table, specs));
    }
    plan->changes.push_back(std::move(change));
  }
  TRY(plan->where, make_where(statement.where, table, WhereUse::delete_, false, specs));
  if (statement.using_.ttl) return invalid("TTL attribute is not allowed for deletes");
  TRY_STATUS(plan_using(statement.using_, *plan, specs));
  const auto missing = missing_clustering(*plan);
  if (only_static(*plan) && table->clustering_size() > 0) {
    if (plan->where.restricts_clustering) {
      return invalid(
          "Invalid restrictions on clustering columns since the DELETE statement modifies only static columns");
    }
    return WritePlanPtr(std::move(plan));
  }
  plan->addresses_rows = missing.empty();
  if (!plan->changes.empty() && !missing.empty()) {
    if (std::ranges::any_of(plan->where.clustering, &Restriction::is_slice)) {
      return invalid("Range deletions are not supported for specific columns");
    }
    return invalid("Some clustering keys are missing: {}", fmt::join(missing, ", "));
  }
  return WritePlanPtr(std::move(plan));
}

}  // namespace asterism::cql
