// WHERE: which partitions, which slices of them, and what is left to filter.
#pragma once

#include <string>
#include <vector>

#include "datastore/cql/expression.h"
#include "datastore/mutation.h"

namespace asterism::cql {

using datastore::Column;
using datastore::ColumnKind;
using datastore::Slice;
using datastore::Table;
using datastore::TablePtr;

/// A relation with its names and types resolved.
struct Restriction {
  Relation::Target target = Relation::Target::column;
  Operator op = Operator::equal;
  std::vector<const Column*> columns;  // owned by the table
  /// What is compared with: one for each alternative of IN, else just one. Each has a part for each column, or one
  /// marker for the `whole` tuple.
  struct Alternative {
    std::vector<Expression> parts;
    bool whole = false;
  };
  std::vector<Alternative> alternatives;
  bool in_marker = false;  // alternatives[0].parts[0] is bound to the list of all of them
  std::optional<Expression> key;

  bool is_slice() const { return op != Operator::equal && op != Operator::in && !is_contains(); }
  bool is_contains() const { return op == Operator::contains || op == Operator::contains_key; }
  bool is_lower() const { return op == Operator::greater || op == Operator::greater_equal; }
  const Column& column() const { return *columns[0]; }
};

/// Values of a condition's alternatives, a part for each column.
using Alternatives = std::vector<std::vector<BytesView>>;
Answer<Alternatives> evaluate(const Restriction& condition, const Bindings& bindings);

enum class WhereUse : uint8_t { select, update, delete_, insert };

struct WherePlan {
  enum class Partitions : uint8_t { all, keys, tokens };
  TablePtr table;
  size_t partition_columns = 0, clustering_columns = 0;  // of the table
  Partitions partitions = Partitions::all;
  bool names_one_key = false;           // each condition of `partition` is column = value: what most statements have
  std::vector<Restriction> partition;   // keys: = or IN for each column
  std::vector<Restriction> tokens;      // tokens
  std::vector<Restriction> clustering;  // what makes slices: a prefix of = and IN, then bounds of one place
  std::vector<Restriction> filters;     // everything else
  size_t fixed_clustering = 0;          // clustering columns that = or IN fix, counted from the first
  bool restricts_clustering = false;
  bool restricts_others = false;  // static or regular columns
  bool partition_in = false;      // IN on the partition key
  bool fixed_by_equal(const Column& column) const;
  /// Whether each slice is one row.
  bool names_whole_keys() const { return fixed_clustering == clustering_columns; }
};

/// Resolves, checks and sorts the relations. Errors: invalid, with Cassandra's texts.
Answer<WherePlan> make_where(const std::vector<Relation>& relations, const TablePtr& table, WhereUse use,
                             bool allow_filtering, MarkerSpecs& specs);

struct PartitionKey {
  int64_t token = 0;
  Bytes bytes;
  auto operator<=>(const PartitionKey&) const = default;
};
/// The partitions that the keys name, in ring order, each once.
Answer<std::vector<PartitionKey>> partition_keys(const WherePlan& where, const Bindings& bindings);

/// Encoded clustering keys that the conditions allow: ascending and disjoint.
Answer<std::vector<Slice>> clustering_slices(const WherePlan& where, const Bindings& bindings);
/// The full clustering keys where all columns are fixed: ascending, each once. One empty key without such columns.
Answer<std::vector<Bytes>> clustering_keys(const WherePlan& where, const Bindings& bindings);

/// Tokens in [from, to]; `empty` where none can match.
struct TokenRange {
  int64_t from = INT64_MIN, to = INT64_MAX;
  bool empty = false;
};
Answer<TokenRange> token_range(const WherePlan& where, const Bindings& bindings);

/// Something that has values by column: what filters look at.
class ColumnValues {
 public:
  virtual ~ColumnValues() = default;
  /// Serialized; collections as a whole.
  virtual MaybeView value_of(const Column& column) const = 0;
};

struct BoundFilter {
  const Restriction* condition = nullptr;
  Alternatives alternatives;
  MaybeView key;
};
Answer<std::vector<BoundFilter>> bind_filters(const WherePlan& where, const Bindings& bindings);
bool matches(const BoundFilter& filter, const ColumnValues& row);

/// The elements of a serialized list, set or map (keys and values in turn) or the fields of a tuple.
std::vector<MaybeView> split_collection(const DataType& type, BytesView value);

/// "Undefined column name …".
Answer<const Column*> find_column(const Table& table, std::string_view name);

}  // namespace asterism::cql
