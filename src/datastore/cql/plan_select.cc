#include "datastore/cql/plan_select.h"

#include <algorithm>

#include "datastore/cql/selection.h"

namespace asterism::cql {

namespace {

class SelectPlanner {
 public:
  SelectPlanner(const Select& select, MarkerSpecs& specs) : select_(select), specs_(specs) {}

  Answer<std::shared_ptr<const SelectPlan>> run(TablePtr table, const VirtualTable* virtual_table) {
    plan_->table = std::move(table);
    plan_->virtual_table = virtual_table;
    plan_->distinct = select_.distinct;
    if (select_.json) return invalid("SELECT JSON is not supported yet");
    TRY_STATUS(selections());
    TRY(plan_->where, make_where(select_.where, plan_->table, WhereUse::select, select_.allow_filtering, specs_));
    TRY_STATUS(group_by());
    TRY_STATUS(limits());
    TRY_STATUS(distinct());
    TRY_STATUS(order_by());
    plan_->fingerprint = fingerprint();
    return std::shared_ptr<const SelectPlan>(std::move(plan_));
  }

 private:
  Answer<void> selections() {
    SelectionMaker maker(*plan_, specs_);
    if (select_.selectors.empty()) {
      for (const Column& column : plan_->table->columns) {
        if (select_.distinct && column.kind != ColumnKind::partition_key) {
          return invalid(
              "SELECT DISTINCT queries must only request partition key columns and/or static columns (not {})",
              column.name);
        }
        plan_->selections.push_back(maker.column(column));
      }
    }
    for (const Selector& selector : select_.selectors) {
      TRY(Selection made, maker.make_top(selector));
      plan_->selections.push_back(std::move(made));
    }
    return {};
  }

  Answer<void> group_by() {
    uint32_t next = 0;
    const Table& table = *plan_->table;
    for (const std::string& name : select_.group_by) {
      TRY(const Column* column, find_column(table, name));
      if (!column->is_key()) {
        return invalid("Group by is currently only supported on the columns of the PRIMARY KEY, got {}", name);
      }
      const auto place = static_cast<uint32_t>(column - table.columns.data());
      // Columns that are fixed anyway may be left out.
      while (next < place && plan_->where.fixed_by_equal(table.columns[next])) ++next;
      if (place != next) {
        return invalid(
            "Group by currently only support groups of columns following their declared order in the PRIMARY KEY");
      }
      ++next;
      plan_->group_by.push_back(column);
    }
    return {};
  }

  Answer<void> limits() {
    const Table* table = plan_->table.get();
    if (select_.per_partition_limit) {
      if (select_.distinct) return invalid("PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries");
      if (!plan_->aggregates.empty() && plan_->group_by.empty()) {
        return invalid("PER PARTITION LIMIT is not allowed with aggregate queries.");
      }
      TRY(plan_->per_partition_limit.emplace(),
          make_expression(*select_.per_partition_limit, {table, "[per_partition_limit]", TypeKind::int_}, specs_));
    }
    if (select_.limit) {
      TRY(plan_->limit.emplace(), make_expression(*select_.limit, {table, "[limit]", TypeKind::int_}, specs_));
    }
    return {};
  }

  Answer<void> distinct() {
    if (!select_.distinct) return {};
    const auto& where = plan_->where;
    bool restricted = where.restricts_clustering;
    for (const auto& filter : where.filters) {
      restricted |= filter.column().kind == ColumnKind::clustering || filter.column().kind == ColumnKind::regular;
    }
    if (restricted) {
      return invalid(
          "SELECT DISTINCT with WHERE clause only supports restriction by partition key and/or static columns.");
    }
    std::vector<const Column*> used;
    for (const Selection& selection : plan_->selections) collect(selection, used);
    for (const Column* column : used) {
      if (column->kind == ColumnKind::partition_key || column->kind == ColumnKind::static_) continue;
      return invalid("SELECT DISTINCT queries must only request partition key columns and/or static columns (not {})",
                     column->name);
    }
    const Table& table = *plan_->table;
    for (size_t i = 0; i < table.partition_key_size() && where.partitions != WherePlan::Partitions::keys; ++i) {
      if (std::ranges::find(used, &table.partition_column(i)) == used.end()) {
        return invalid("SELECT DISTINCT queries must request all the partition key columns (missing {})",
                       table.partition_column(i).name);
      }
    }
    return {};
  }

  void collect(const Selection& selection, std::vector<const Column*>& used) const {
    if (selection.column) used.push_back(selection.column);
    for (const Selection& argument : selection.arguments) collect(argument, used);
    if (selection.kind == Selection::Kind::aggregate) {
      for (const Selection& argument : plan_->aggregates[selection.aggregate].argument) collect(argument, used);
    }
  }

  Answer<void> order_by() {
    if (select_.order_by.empty()) return {};
    const Table& table = *plan_->table;
    if (plan_->where.partitions != WherePlan::Partitions::keys) {
      return invalid("ORDER BY is only supported when the partition key is restricted by an EQ or an IN.");
    }
    std::optional<bool> reversed;
    uint32_t next = 0;
    for (const Ordering& ordering : select_.order_by) {
      TRY(const Column* column, find_column(table, ordering.column));
      if (column->kind != ColumnKind::clustering) {
        return invalid("Order by is currently only supported on the clustered columns of the PRIMARY KEY, got {}",
                       column->name);
      }
      while (next < column->position && plan_->where.fixed_by_equal(table.clustering_column(next))) ++next;
      if (column->position != next++) {
        return invalid(
            "Order by currently only supports the ordering of columns following their declared order in "
            "the PRIMARY KEY");
      }
      const bool against = ordering.descending != column->descending;
      if (reversed && *reversed != against) return invalid("Unsupported order by relation");
      reversed = against;
      plan_->order_by.push_back({column, ordering.descending});
    }
    plan_->reversed = *reversed;
    return {};
  }

  uint64_t fingerprint() const {
    Bytes text = plan_->table->id;
    ByteWriter out(text);
    for (const Selection& selection : plan_->selections) out.sized(selection.name);
    for (const Relation& relation : select_.where) {
      out.u8(static_cast<uint8_t>(relation.op));
      for (const std::string& column : relation.columns) out.sized(column);
      for (const Term& term : relation.values) out.sized(term.text);
    }
    for (const Column* column : plan_->group_by) out.sized(column->name);
    out.u8(static_cast<uint8_t>((plan_->reversed ? 1 : 0) | (plan_->distinct ? 2 : 0)));
    return xxh3(text);
  }

  const Select& select_;
  MarkerSpecs& specs_;
  std::shared_ptr<SelectPlan> plan_ = std::make_shared<SelectPlan>();
};

}  // namespace

Answer<std::shared_ptr<const SelectPlan>> plan_select(const Select& select, TablePtr table,
                                                      const VirtualTable* virtual_table, MarkerSpecs& specs) {
  return SelectPlanner(select, specs).run(std::move(table), virtual_table);
}

}  // namespace asterism::cql
