#include "datastore/cql/where.h"

#include <algorithm>

#include "datastore/cql/parser.h"

namespace asterism::cql {

namespace {

constexpr const char* needs_filtering =
    "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you "
    "want to execute this query despite the performance unpredictability, use ALLOW FILTERING";

std::string names_of(const std::vector<const Column*>& columns) {
  std::string names;
  for (const Column* column : columns) names += (names.empty() ? "" : ", ") + column->name;
  return names;
}

bool is_inequality(Operator op) {
  return op == Operator::less || op == Operator::less_equal || op == Operator::greater || op == Operator::greater_equal;
}

// -------------------------------------------------------------------------------------------------- typed relations

Status check_operator_shape(const Relation& relation, const Column& column) {
  const DataType& type = column.type;
  const bool element = relation.target == Relation::Target::element;
  switch (relation.op) {
    case Operator::not_equal:
      return fail(ErrorCode::invalid_argument, "Unsupported \"!=\" relation: {}", column.name);
    case Operator::is_not_null:
      return fail(ErrorCode::invalid_argument, "Unsupported restriction: {} IS NOT NULL", column.name);
    case Operator::like:
      return fail(ErrorCode::invalid_argument,
                  "LIKE restriction is only supported on properly indexed columns. {} LIKE is not valid.", column.name);
    case Operator::contains:
      if (!type.is_collection()) {
        return fail(ErrorCode::invalid_argument, "Cannot use CONTAINS on non-collection column {}", column.name);
      }
      return {};
    case Operator::contains_key:
      if (type.kind() != TypeKind::map) {
        return fail(ErrorCode::invalid_argument, "Cannot use CONTAINS KEY on non-map column {}", column.name);
      }
      return {};
    default:
      break;
  }
  if (element) {
    if (type.kind() != TypeKind::map) {
      return fail(ErrorCode::invalid_argument, "Column {} cannot be used as a map", column.name);
    }
    if (type.frozen()) {
      return fail(ErrorCode::invalid_argument,
                  "Map-entry equality predicates on frozen map column {} are not supported", column.name);
    }
    if (relation.op != Operator::equal) {
      return fail(ErrorCode::invalid_argument, "Only EQ relations are supported on map entries");
    }
    return {};
  }
  if (type.is_multi_cell()) {
    return fail(ErrorCode::invalid_argument, "Collection column '{}' ({}) cannot be restricted by a '{}' relation",
                column.name, type.to_string(), to_string(relation.op));
  }
  if (is_inequality(relation.op) && type.mentions(TypeKind::duration)) {
    return fail(ErrorCode::invalid_argument, "Slice restrictions are not supported on {} columns",
                type.kind() == TypeKind::duration ? "duration" : "collections containing durations");
  }
  return {};
}

Answer<Restriction> type_single(const Relation& relation, const TablePtr& table, Restriction condition,
                                MarkerSpecs& specs) {
  const Column& column = condition.column();
  TRY_STATUS(answer(check_operator_shape(relation, column)));
  Receiver receiver{table.get(), column.name, column.type};
  if (relation.op == Operator::contains) {
    receiver = {table.get(), fmt::format("value({})", column.name),
                column.type.kind() == TypeKind::map ? column.type.value() : column.type.element()};
  } else if (relation.op == Operator::contains_key) {
    receiver = {table.get(), fmt::format("key({})", column.name), column.type.key()};
  } else if (relation.target == Relation::Target::element) {
    TRY(condition.key.emplace(),
        make_expression(*relation.key, {table.get(), fmt::format("key({})", column.name), column.type.key()}, specs));
    receiver = {table.get(), fmt::format("value({})", column.name), column.type.value()};
  } else if (relation.in_marker) {
    receiver = {table.get(), fmt::format("in({})", column.name), DataType::list(column.type.freeze(), true)};
    condition.in_marker = true;
  }
  for (const Term& term : relation.values) {
    TRY(Expression value, make_expression(term, receiver, specs));
    condition.alternatives.push_back({{std::move(value)}, false});
  }
  return condition;
}

Answer<Restriction> type_tuple(const Relation& relation, const TablePtr& table, Restriction condition,
                               MarkerSpecs& specs) {
  std::vector<DataType> types;
  uint32_t expected = condition.column().position;
  for (const Column* column : condition.columns) {
    if (column->kind != ColumnKind::clustering) {
      return invalid("Multi-column relations can only be applied to clustering columns but was applied to: {}",
                     column->name);
    }
    if (std::ranges::count(condition.columns, column) > 1) {
      return invalid("Column \"{}\" appeared twice in a relation: ({})", column->name, names_of(condition.columns));
    }
    if (column->position != expected++) {
      return invalid("Clustering columns must appear in the PRIMARY KEY order in multi-column relations: ({})",
                     names_of(condition.columns));
    }
    types.push_back(column->type);
  }
  if (relation.op != Operator::equal && relation.op != Operator::in && !is_inequality(relation.op)) {
    return invalid("{} cannot be used for multi-column relations", to_string(relation.op));
  }
  std::string name;
  for (const Column* column : condition.columns) name += (name.empty() ? "" : ",") + column->name;
  const DataType tuple = DataType::tuple(types);
  for (const Term& term : relation.values) {
    Restriction::Alternative alternative;
    if (term.kind == Term::Kind::tuple) {
      if (term.items.size() != condition.columns.size()) {
        return invalid("Expected {} elements in value tuple, but got {}", condition.columns.size(), term.items.size());
      }
      for (size_t i = 0; i < term.items.size(); ++i) {
        const Column& column = *condition.columns[i];
        TRY(Expression part, make_expression(term.items[i], {table.get(), column.name, column.type}, specs));
        alternative.parts.push_back(std::move(part));
      }
    } else {
      condition.in_marker = relation.in_marker;
      alternative.whole = true;
      Receiver receiver{table.get(), fmt::format("({})", name), tuple};
      if (relation.in_marker) receiver = {table.get(), fmt::format("in({})", name), DataType::list(tuple, true)};
      TRY(Expression whole, make_expression(term, receiver, specs));
      alternative.parts.push_back(std::move(whole));
    }
    condition.alternatives.push_back(std::move(alternative));
  }
  return condition;
}

Answer<Restriction> type_token(const Relation& relation, const TablePtr& table, Restriction condition,
                               MarkerSpecs& specs) {
  if (condition.columns.size() != table->partition_key_size()) {
    return invalid("The token() function must be applied to all partition key components or none of them");
  }
  for (size_t i = 0; i < condition.columns.size(); ++i) {
    if (condition.columns[i] == &table->partition_column(i)) continue;
    std::vector<const Column*> key;
    for (size_t j = 0; j < table->partition_key_size(); ++j) key.push_back(&table->partition_column(j));
    return invalid("The token function arguments must be in the partition key order: {}", names_of(key));
  }
  if (relation.op != Operator::equal && !is_inequality(relation.op)) {
    return invalid("{} cannot be used with the token function", to_string(relation.op));
  }
  TRY(Expression value,
      make_expression(relation.values.at(0), {table.get(), "partition key token", TypeKind::bigint}, specs));
  condition.alternatives.push_back({{std::move(value)}, false});
  return condition;
}

Answer<Restriction> type_relation(const Relation& relation, const TablePtr& table, MarkerSpecs& specs) {
  Restriction condition;
  condition.target = relation.target;
  condition.op = relation.op;
  for (const std::string& name : relation.columns) {
    TRY(const Column* column, find_column(*table, name));
    condition.columns.push_back(column);
  }
  if (relation.target == Relation::Target::token) return type_token(relation, table, std::move(condition), specs);
  if (relation.target == Relation::Target::tuple) return type_tuple(relation, table, std::move(condition), specs);
  return type_single(relation, table, std::move(condition), specs);
}

// ----------------------------------------------------------------------------------------------- what may be combined

Answer<void> check_combination(const std::vector<Restriction>& conditions) {
  for (size_t i = 0; i < conditions.size(); ++i) {
    const Restriction& a = conditions[i];
    for (size_t j = i + 1; j < conditions.size(); ++j) {
      const Restriction& b = conditions[j];
      const bool tokens = a.target == Relation::Target::token;
      if (tokens != (b.target == Relation::Target::token)) continue;
      const Column* shared = nullptr;
      for (const Column* column : a.columns) {
        if (std::ranges::find(b.columns, column) != b.columns.end()) shared = column;
      }
      if (shared == nullptr || a.is_contains() || b.is_contains() || a.key || b.key) continue;
      const auto& widest = a.columns.size() >= b.columns.size() ? a.columns : b.columns;
      const std::string name = tokens ? fmt::format("token({})", names_of(a.columns)) : names_of(widest);
      if (a.op == Operator::equal || b.op == Operator::equal) {
        return invalid("{} cannot be restricted by more than one relation if it includes an Equal", name);
      }
      if (a.op == Operator::in || b.op == Operator::in) {
        return invalid("{} cannot be restricted by more than one relation if it includes a IN", name);
      }
      if ((a.target == Relation::Target::tuple) != (b.target == Relation::Target::tuple)) {
        return invalid("Column \"{}\" cannot have both tuple-notation inequalities and single-column inequalities: {}",
                       shared->name, name);
      }
      if (a.is_lower() == b.is_lower()) {
        return invalid("More than one restriction was found for the {} bound on {}", a.is_lower() ? "start" : "end",
                       name);
      }
    }
  }
  return {};
}

// ------------------------------------------------------------------------------------------------- sorting relations

struct Sorter {
  WherePlan plan;
  WhereUse use;
  bool allow_filtering;
  std::vector<Restriction> partition, clustering;

  Answer<void> sort_partition();
  Answer<void> sort_clustering();
};

Answer<void> Sorter::sort_partition() {
  const Table& table = *plan.table;
  if (!plan.tokens.empty()) {
    if (use != WhereUse::select)
      return invalid("The token function cannot be used in WHERE clauses for UPDATE and DELETE statements");
    if (!partition.empty()) {
      if (!allow_filtering) {
        return invalid("Columns \"{}\" cannot be restricted by both a normal relation and a token relation",
                       partition[0].column().name);
      }
      for (auto& condition : partition) plan.filters.push_back(std::move(condition));
    }
    plan.partitions = WherePlan::Partitions::tokens;
    return {};
  }
  std::vector<std::string> missing;
  std::vector<size_t> places;  // of each key column's restriction in `partition`
  bool keyed = true;
  for (size_t i = 0; i < table.partition_key_size(); ++i) {
    auto found = std::ranges::find_if(partition,
                                      [&](const Restriction& r) { return &r.column() == &table.partition_column(i); });
    if (found == partition.end()) {
      missing.push_back(table.partition_column(i).name);
      continue;
    }
    places.push_back(static_cast<size_t>(found - partition.begin()));
    if (found->op != Operator::equal && found->op != Operator::in) {
      if (use != WhereUse::select || !allow_filtering) {
        return invalid(
            "Only EQ and IN relation are supported on the partition key (unless you use the token() function{})",
            use == WhereUse::select ? " or allow filtering" : "");
      }
      keyed = false;
    }
  }
  if (use != WhereUse::select && !missing.empty()) {
    return invalid("Some partition key parts are missing: {}", fmt::join(missing, ", "));
  }
  if (keyed && missing.empty()) {
    plan.partitions = WherePlan::Partitions::keys;
    for (size_t place : places) {
      plan.partition_in |= partition[place].op == Operator::in;
      plan.partition.push_back(std::move(partition[place]));
    }
    return {};
  }
  if (!partition.empty() && !allow_filtering) return invalid("{}", needs_filtering);
  for (auto& condition : partition) plan.filters.push_back(std::move(condition));
  return {};
}

Answer<void> Sorter::sort_clustering() {
  const Table& table = *plan.table;
  plan.restricts_clustering = !clustering.empty();
  std::vector<Restriction> ordered;
  for (size_t position = 0; position < table.clustering_size(); ++position) {
    for (Restriction& restriction : clustering) {
      if (!restriction.columns.empty() && restriction.column().position == position) {
        ordered.push_back(std::move(restriction));
      }
    }
  }
  clustering = std::move(ordered);
  const Column* bounded = nullptr;  // the column whose bounds end the prefix
  for (Restriction& condition : clustering) {
    const uint32_t position = condition.column().position;
    if (condition.is_contains()) {
      if (!allow_filtering) {
        return invalid("Clustering columns can only be restricted with CONTAINS with a secondary index or filtering");
      }
      plan.filters.push_back(std::move(condition));
      continue;
    }
    const bool follows = bounded == nullptr && position == plan.fixed_clustering;
    const bool same_bounds = bounded != nullptr && bounded->position == position && condition.is_slice();
    if (follows || same_bounds) {
      if (condition.is_slice()) {
        bounded = &condition.column();
      } else {
        plan.fixed_clustering += condition.columns.size();
      }
      plan.clustering.push_back(std::move(condition));
      continue;
    }
    if (use == WhereUse::select && allow_filtering) {
      plan.filters.push_back(std::move(condition));
      continue;
    }
    if (bounded != nullptr) {
      return invalid(
          "Clustering column \"{}\" cannot be restricted (preceding column \"{}\" is restricted by a non-EQ "
          "relation)",
          condition.column().name, bounded->name);
    }
    return invalid("PRIMARY KEY column \"{}\" cannot be restricted as preceding column \"{}\" is not restricted",
                   condition.column().name, table.clustering_column(position - 1).name);
  }
  // Without a partition, clustering conditions cannot be slices of one.
  if (plan.partitions != WherePlan::Partitions::keys && !clustering.empty()) {
    if (!allow_filtering) return invalid("{}", needs_filtering);
    for (auto& condition : plan.clustering) plan.filters.push_back(std::move(condition));
    plan.clustering.clear();
    plan.fixed_clustering = 0;
  }
  return {};
}

}  // namespace

Answer<const Column*> find_column(const Table& table, std::string_view name) {
  if (const Column* column = table.find(name)) return column;
  return invalid("Undefined column name {} in table {}.{}", quote_identifier(name), table.keyspace, table.name);
}

bool WherePlan::fixed_by_equal(const Column& column) const {
  for (const Restriction& condition : clustering) {
    if (condition.op == Operator::equal && std::ranges::find(condition.columns, &column) != condition.columns.end()) {
      return true;
    }
  }
  for (const Restriction& condition : partition) {
    if (condition.op == Operator::equal && condition.columns[0] == &column) return true;
  }
  return false;
}

static bool names_one_key(const WherePlan& where) {
  return std::ranges::all_of(where.partition, [](const Restriction& condition) {
    return condition.op == Operator::equal && condition.alternatives.size() == 1 && !condition.in_marker &&
           condition.alternatives[0].parts.size() == 1 && !condition.alternatives[0].whole;
  });
}

Answer<WherePlan> make_where(const std::vector<Relation>& relations, const TablePtr& table, WhereUse use,
                             bool allow_filtering, MarkerSpecs& specs) {
  Sorter sorter;
  sorter.use = use;
  sorter.allow_filtering = allow_filtering;
  sorter.plan.table = table;
  sorter.plan.partition_columns = table->partition_key_size();
  sorter.plan.clustering_columns = table->clustering_size();
  std::vector<Restriction> all;
  for (const Relation& relation : relations) {
    TRY(Restriction condition, type_relation(relation, table, specs));
    all.push_back(std::move(condition));
  }
  TRY_STATUS(check_combination(all));
  std::vector<Restriction> others;
  for (Restriction& condition : all) {
    if (condition.target == Relation::Target::token) {
      sorter.plan.tokens.push_back(std::move(condition));
    } else if (condition.column().kind == ColumnKind::partition_key) {
      sorter.partition.push_back(std::move(condition));
    } else if (condition.column().kind == ColumnKind::clustering) {
      sorter.clustering.push_back(std::move(condition));
    } else {
      others.push_back(std::move(condition));
    }
  }
  if (!others.empty() && use != WhereUse::select) {
    std::string names;
    for (const auto& condition : others) names += (names.empty() ? "" : ", ") + condition.column().name;
    return invalid("Non PRIMARY KEY columns found in where clause: {}", names);
  }
  TRY_STATUS(sorter.sort_partition());
  TRY_STATUS(sorter.sort_clustering());
  sorter.plan.restricts_others = !others.empty();
  if (!others.empty() && !allow_filtering) return invalid("{}", needs_filtering);
  for (auto& condition : others) sorter.plan.filters.push_back(std::move(condition));
  sorter.plan.names_one_key = names_one_key(sorter.plan);
  return std::move(sorter.plan);
}

}  // namespace asterism::cql
