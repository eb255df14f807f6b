// SELECT, planned.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datastore/cql/aggregate.h"
#include "datastore/cql/row_values.h"

namespace asterism::cql {

/// One value of a result row, computed from a row of the table.
struct Selection {
  enum class Kind : uint8_t { column, constant, function, writetime, ttl, element, aggregate };
  Kind kind = Kind::column;
  DataType type;
  std::string name;                // of the result column
  const Column* column = nullptr;  // column, writetime, ttl
  Expression constant;             // constant; the key or index of element
  FunctionPtr function;
  std::vector<Selection> arguments;  // of function; element's collection
  size_t aggregate = 0;              // index into SelectPlan::aggregates
};

struct AggregateCall {
  std::string name;                 // empty: count(*)
  std::vector<Selection> argument;  // one, or none for count(*)
};

struct SelectPlan {
  TablePtr table;
  const VirtualTable* virtual_table = nullptr;
  WherePlan where;
  std::vector<Selection> selections;
  std::vector<AggregateCall> aggregates;
  bool distinct = false;
  bool reversed = false;
  bool needs_stamps = false;
  std::vector<const Column*> group_by;
  struct Order {
    const Column* column = nullptr;
    bool descending = false;
  };
  std::vector<Order> order_by;
  std::optional<Expression> limit, per_partition_limit;
  /// Tells paging states of different queries apart.
  uint64_t fingerprint = 0;

  bool aggregated() const { return !aggregates.empty() || !group_by.empty(); }
};

Answer<std::shared_ptr<const SelectPlan>> plan_select(const Select& select, TablePtr table,
                                                      const VirtualTable* virtual_table, MarkerSpecs& specs);

/// A value of the row; aggregates' results come from `aggregates`.
Answer<MaybeBytes> evaluate(const Selection& selection, const RowValues& row, const std::vector<MaybeBytes>& aggregates,
                            const Bindings& bindings);

}  // namespace asterism::cql
