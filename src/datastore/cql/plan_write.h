// INSERT, UPDATE, DELETE and BATCH, planned.
#pragma once

#include <memory>
#include <vector>

#include "datastore/cql/where.h"

namespace asterism::cql {

/// A change of one column, or of elements of one collection.
struct ColumnChange {
  enum class Kind : uint8_t { set, append, prepend, remove, element };
  Kind kind = Kind::set;
  const Column* column = nullptr;
  std::optional<Expression> key;  // element
  Expression value;               // null deletes

  /// Whether the list must be read first.
  bool reads() const {
    return column->type.kind() == TypeKind::list && column->type.is_multi_cell() &&
           (kind == Kind::element || kind == Kind::remove);
  }
};

struct WritePlan {
  enum class Kind : uint8_t { insert, update, delete_ };
  Kind kind = Kind::insert;
  TablePtr table;
  WherePlan where;
  std::vector<ColumnChange> changes;  // none in a DELETE of rows
  std::optional<Expression> timestamp, ttl;
  int64_t default_ttl_s = 0;  // of the table; without `ttl`
  /// All clustering columns are fixed: rows are addressed one by one. Otherwise ranges or the static row.
  bool addresses_rows = false;
  /// IF [NOT] EXISTS: may be prepared, so that programs which seldom use it start, and is refused when executed.
  bool conditional = false;
};

inline constexpr const char* no_transactions = "Lightweight transactions are not supported yet";

struct BatchPlan {
  Batch::Kind kind = Batch::Kind::logged;
  std::optional<Expression> timestamp;
  std::vector<std::shared_ptr<const WritePlan>> writes;
};

using WritePlanPtr = std::shared_ptr<const WritePlan>;
Answer<WritePlanPtr> plan_insert(const Insert& insert, TablePtr table, MarkerSpecs& specs);
Answer<WritePlanPtr> plan_update(const Update& update, TablePtr table, MarkerSpecs& specs);
Answer<WritePlanPtr> plan_delete(const Delete& statement, TablePtr table, MarkerSpecs& specs);

Answer<Expression> plan_timestamp(const Term& term, const Table* table, MarkerSpecs& specs);

}  // namespace asterism::cql
