// Terms with their types resolved, and their values once markers are bound.
#pragma once

#include <forward_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datastore/cql/answer.h"
#include "datastore/cql/function.h"
#include "datastore/cql/request.h"

namespace asterism::cql {

/// Keeps computed values alive while views of them are in use.
class Arena {
 public:
  BytesView keep(Bytes bytes) { return kept_.emplace_front(std::move(bytes)); }
  bool empty() const { return kept_.empty(); }

 private:
  std::forward_list<Bytes> kept_;
};

/// What expressions are evaluated with; for one execution of one statement.
struct Bindings {
  std::span<const wire::Value> values;
  const FunctionContext& functions;
  Arena& arena;
};

struct Expression {
  enum class Kind : uint8_t { constant, null, marker, collection, function };
  Kind kind = Kind::null;
  DataType type;
  std::string what;  // the receiver's name, for errors
  Bytes bytes;       // constant
  uint32_t marker = 0;
  Term::Kind literal = Term::Kind::list;  // collection: list, set, map or tuple of `items`
  std::vector<Expression> items;          // also the function's arguments
  std::shared_ptr<const ScalarFunction> function;

  bool is_bare_marker() const { return kind == Kind::marker; }
  Answer<wire::Value> evaluate(const Bindings& bindings) const;

 private:
  Answer<wire::Value> evaluate_collection(const Bindings& bindings) const;
};

/// Where the markers of a statement get their specifications while it is planned.
class MarkerSpecs {
 public:
  explicit MarkerSpecs(const std::vector<BindMarker>& markers) : markers_(markers), specs_(markers.size()) {}
  void set(uint32_t marker, std::string keyspace, std::string table, std::string name, const DataType& type);
  std::vector<wire::ColumnSpec> take() { return std::move(specs_); }
  size_t size() const { return specs_.size(); }

 private:
  const std::vector<BindMarker>& markers_;
  std::vector<wire::ColumnSpec> specs_;
};

/// What a term is received by.
struct Receiver {
  const datastore::Table* table = nullptr;  // null: none, as for LIMIT without a table
  std::string name;
  DataType type;
};

/// Types `term` for `receiver` and computes what is constant. Errors: invalid, as Cassandra.
Answer<Expression> make_expression(const Term& term, const Receiver& receiver, MarkerSpecs& specs);

/// Whether a value of type `from` may stand where `to` is wanted.
bool is_assignable(const DataType& to, const DataType& from);

/// The type that a term has by itself, as a function's argument: a call's or a hint's, else none.
std::optional<DataType> own_type(const Term& term, const datastore::Table* table);

}  // namespace asterism::cql
