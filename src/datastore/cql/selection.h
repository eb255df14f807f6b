// Resolves the select clause.
#pragma once

#include "datastore/cql/plan_select.h"

namespace asterism::cql {

class SelectionMaker {
 public:
  SelectionMaker(SelectPlan& plan, MarkerSpecs& specs) : plan_(plan), table_(*plan.table), specs_(specs) {}
  /// One selector at the top of the select clause. Errors: invalid.
  Answer<Selection> make_top(const Selector& selector);
  Selection column(const Column& column) const;

 private:
  Answer<Selection> make(const Selector& selector, const DataType* wanted);
  Answer<Selection> function(const Selector& selector);
  Answer<Selection> aggregate(const Selector& selector);
  Answer<Selection> stamp(const Selector& selector);
  Answer<Selection> cast(const Selector& selector);
  Answer<Selection> element(const Selector& selector);
  /// Whether the selector can be an argument of that type; looks, but changes nothing.
  bool fits(const Selector& selector, const DataType& wanted);
  std::optional<DataType> type_of(const Selector& selector);

  SelectPlan& plan_;
  const Table& table_;
  MarkerSpecs& specs_;
  bool in_aggregate_ = false;
};

}  // namespace asterism::cql
