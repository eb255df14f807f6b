// Prepared statements of a node, shared by all of its connections.
#pragma once

#include <array>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "datastore/cql/plan.h"

namespace asterism::cql {

struct PreparedStatement {
  PlanPtr plan;
  /// The columns are not those that it was first prepared with, so clients of v4, which are not told, may not skip
  /// metadata.
  bool columns_changed = false;
  Bytes result_metadata_id;  // 16 bytes; of the columns that the plan gives
  Bytes id;                  // 16 bytes
  std::string keyspace;      // that unqualified names were resolved in; empty where the text needs none
  std::string text;
};
using PreparedPtr = std::shared_ptr<const PreparedStatement>;

/// The id is made of keyspace and text alone, so that every node gives the same one.
Bytes prepared_id(std::string_view keyspace, std::string_view text);
Bytes result_metadata_id(const wire::ResultMetadata& metadata);
/// Whether every table in the statement is named with its keyspace: then the session's plays no part in the id.
bool is_fully_qualified(const Statement& statement);

/// Bounded by count and bytes; what goes is the oldest statement that was not used since it last might have gone
/// ("second chance"), so that a use is a note in what was read anyway. Used by one core.
class PreparedCache {
 public:
  PreparedCache(size_t count_max, size_t bytes_max) : count_max_(count_max), bytes_max_(bytes_max) {}

  /// Null where it is not known (any more). Counts as a use. Ids are of 16 bytes.
  PreparedPtr find(BytesView id);
  /// Adds a statement, or puts a new plan in the place of an old one.
  PreparedPtr put(std::string keyspace, std::string text, PlanPtr plan);

  size_t size() const { return by_id_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t evictions() const { return evictions_; }
  /// Those that came last first.
  std::vector<PreparedPtr> statements() const;

 private:
  using Id = std::array<uint64_t, 2>;
  /// They are hashes.
  struct HashOfId {
    size_t operator()(const Id& id) const { return id[0]; }
  };
  struct Entry {
    PreparedPtr statement;
    std::list<Id>::iterator place;
    bool used = false;  // since it was looked at to be evicted
  };
  static std::optional<Id> id_of(BytesView bytes);
  void evict(const Id& kept);

  size_t count_max_, bytes_max_;
  size_t bytes_ = 0;
  uint64_t evictions_ = 0;
  std::list<Id> order_;  // the next to be evicted last
  std::unordered_map<Id, Entry, HashOfId> by_id_;
};

}  // namespace asterism::cql
