// Keyspaces and tables, as the metadata log has them. Deterministic; read freely by everybody on the core.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cluster/balance.h"
#include "cluster/cluster_state.h"
#include "cluster/metadata_log.h"
#include "datastore/type.h"

namespace asterism::datastore {

enum class ColumnKind : uint8_t { partition_key, clustering, static_, regular };

struct Column {
  uint32_t id = 0;  // names its cells; never used again within the table
  std::string name;
  DataType type;
  ColumnKind kind = ColumnKind::regular;
  uint32_t position = 0;  // of key columns, within their kind
  bool descending = false;

  bool is_key() const { return kind == ColumnKind::partition_key || kind == ColumnKind::clustering; }
};

struct DroppedColumn {
  std::string name, type;
  int64_t dropped_us = 0;
  ColumnKind kind = ColumnKind::regular;
};

/// Immutable once shared: a change makes a new Table, so a statement may hold on to the one that it was planned with.
struct Table {
  uint32_t number = 0;  // the start of its storage keys; TRUNCATE gives it a new one
  Bytes id;             // 16 bytes, a UUID; stays
  std::string keyspace, name;
  std::vector<Column> columns;  // partition key, clustering, then static and regular columns by name
  std::map<std::string, std::string> options;
  uint32_t next_column = 1;
  std::vector<DroppedColumn> dropped;

  const Column* find(std::string_view column) const;
  const Column* find(uint32_t column_id) const;
  size_t partition_key_size() const { return count(ColumnKind::partition_key); }
  size_t clustering_size() const { return count(ColumnKind::clustering); }
  bool has_static() const { return count(ColumnKind::static_) > 0; }
  /// The i-th column of the partition key, of the clustering key.
  const Column& partition_column(size_t i) const { return columns[i]; }
  const Column& clustering_column(size_t i) const { return columns[partition_key_size() + i]; }
  size_t count(ColumnKind kind) const;
  /// An option as a number; `otherwise` where it is not set.
  int64_t number_option(const std::string& name, int64_t otherwise) const;
};
using TablePtr = std::shared_ptr<const Table>;

struct Keyspace {
  std::string name;
  std::map<std::string, std::string> replication;  // "class": "SimpleStrategy" or "NetworkTopologyStrategy", options
  bool durable_writes = true;  // false: a write is acknowledged when the operating system has it (Durability::relaxed)
  std::map<std::string, TablePtr> tables;

  /// Replicas over all datacenters.
  size_t replication_factor() const;
  PlacementRule rule() const;
};

/// "org.apache.cassandra.locator.SimpleStrategy", "SimpleStrategy" → "SimpleStrategy"; likewise the other.
/// Errors: invalid_argument where the class or its options make no sense, such as a factor that is no number.
Status check_replication(std::map<std::string, std::string>& replication);

struct AlterTableCommand {
  std::string keyspace, table;
  std::vector<Column> add;  // ids are assigned when it is applied
  std::vector<std::string> drop;
  int64_t dropped_us = 0;
  std::map<std::string, std::string> rename;
  std::map<std::string, std::string> options;
};

/// Section "schema". Shards belong to keyspaces: their scope in ClusterState is the keyspace's name.
class Schema final : public MetadataSection {
 public:
  static constexpr const char* section_name = "schema";
  /// Tables with lower numbers are the store's own.
  static constexpr uint32_t first_table = 16;

  /// The cluster state must be applied by the same log, and outlive the schema.
  explicit Schema(ClusterState& cluster);

  Result<Bytes> apply(uint64_t index, BytesView command) override;
  Bytes snapshot() const override;
  Status restore(BytesView snapshot) override;

  const std::map<std::string, Keyspace, std::less<>>& keyspaces() const { return keyspaces_; }
  const Keyspace* keyspace(std::string_view name) const;
  TablePtr table(std::string_view keyspace, std::string_view name) const;
  /// By its number; null where there is none (any more).
  TablePtr table(uint32_t number) const;
  /// The keyspace of the table with this number; null where there is no such table.
  const Keyspace* keyspace_of(uint32_t number) const;
  /// A UUID (16 bytes) that changes with every change of the schema and is the same on every node that applied it.
  Bytes version() const;
  /// The index of the last change: two equal numbers, two equal schemas.
  uint64_t version_index() const { return version_index_; }
  /// Numbers of tables that were dropped or truncated since the last call: their rows can go.
  std::vector<uint32_t> take_abandoned() { return std::exchange(abandoned_, {}); }

  // Encoded commands for MetadataService::propose. Outcomes: already_exists, not_found, invalid_argument.
  static Bytes create_keyspace(const Keyspace& keyspace);
  static Bytes alter_keyspace(const Keyspace& keyspace);
  static Bytes drop_keyspace(const std::string& name);
  /// Column ids and the table's number are assigned when it is applied; `id` must be set.
  static Bytes create_table(const Table& table);
  static Bytes alter_table(const AlterTableCommand& command);
  static Bytes drop_table(const std::string& keyspace, const std::string& name);
  /// Whether it is a command that makes a keyspace or a table, and nothing else. Errors: invalid_argument, with what
  /// is wrong with it.
  static Status check_creation(BytesView command);
  static Bytes truncate(const std::string& keyspace, const std::string& name);

 private:
  Status change(BytesView command);
  Status create_keyspace_now(Keyspace keyspace);
  Status create_table_now(Table table);
  Status alter_table_now(const AlterTableCommand& command);
  Status replace_number(const std::string& keyspace, const std::string& name, bool keep);
  void name_datacenters(std::map<std::string, std::string>& replication) const;
  void put(TablePtr table);

  ClusterState& cluster_;
  std::map<std::string, Keyspace, std::less<>> keyspaces_;
  struct Numbered {
    TablePtr table;
    const Keyspace* keyspace = nullptr;
  };
  std::unordered_map<uint32_t, Numbered> by_number_;
  uint32_t next_table_ = first_table;
  uint64_t version_index_ = 0;
  std::vector<uint32_t> abandoned_;
};

}  // namespace asterism::datastore
