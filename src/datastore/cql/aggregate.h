// Native aggregates: count, min, max, sum, avg.
#pragma once

#include <memory>

#include "datastore/cql/function.h"

namespace asterism::cql {

class Aggregate {
 public:
  virtual ~Aggregate() = default;
  /// Null values do not count.
  virtual void add(MaybeView value) = 0;
  virtual Answer<MaybeBytes> result() const = 0;
};

bool is_aggregate(std::string_view name);
/// The result's type; none where the aggregate does not take `argument`.
std::optional<DataType> aggregate_type(std::string_view name, const DataType& argument);
std::unique_ptr<Aggregate> make_aggregate(std::string_view name, const DataType& argument);
/// count(*)
std::unique_ptr<Aggregate> make_count_all();

}  // namespace asterism::cql
