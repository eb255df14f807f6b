// Native scalar functions. Each overload is one ScalarFunction.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "datastore/cql/answer.h"
#include "ports/random.h"

namespace asterism::cql {

using datastore::DataType;
using datastore::TypeKind;

/// What functions may ask for beside their arguments.
struct FunctionContext {
  int64_t now_us = 0;  // one value for a whole statement
  Random* random = nullptr;
  mutable uint32_t timeuuids = 0;  // made so far: the next one is later
};

using MaybeBytes = std::optional<Bytes>;
using MaybeView = std::optional<BytesView>;

struct ScalarFunction {
  std::string name;  // as written, without keyspace
  std::vector<DataType> arguments;
  DataType result;
  std::function<Answer<MaybeBytes>(const FunctionContext&, std::span<const MaybeView>)> call;
};
using FunctionPtr = std::shared_ptr<const ScalarFunction>;

/// The overloads of a name (folded to lower case, underscores optional). `table` gives token() its arguments and may be
/// null. Empty where no such function is known.
std::vector<FunctionPtr> find_functions(std::string_view name, const datastore::Table* table);

/// cast(x as type), also the function castas<type>. Null where the conversion is not offered.
FunctionPtr find_cast(const DataType& from, const DataType& to);

/// The partition key's bytes for its columns' values: the one value, or Cassandra's composite.
Bytes make_partition_key(std::span<const BytesView> values);
/// The inverse. Errors: corrupt.
Result<std::vector<BytesView>> split_partition_key(BytesView key, size_t columns);

/// A version 1 UUID: 100 ns intervals since 1582-10-15 and the low eight bytes.
Bytes make_timeuuid(uint64_t ticks, uint64_t low);
/// Ticks of a time in microseconds since 1970.
uint64_t timeuuid_ticks(int64_t us);
/// A fresh one. Later calls with one context give greater ones.
Bytes next_timeuuid(const FunctionContext& context);
Bytes random_uuid(Random& random);

/// The value of a tinyint to bigint: 1 to 8 bytes.
int64_t load_integer(BytesView value);
Bytes long_value(int64_t value);
Bytes int_value(int32_t value);

}  // namespace asterism::cql
