#include "datastore/cql/prepared_cache.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "datastore/cql/rows.h"

namespace asterism::cql {

namespace {

Bytes hash_128(BytesView content) {
  Bytes id;
  ByteWriter writer(id);
  writer.u64_be(xxh3(content, 1));
  writer.u64_be(xxh3(content, 2));
  return id;
}

void append_type(const wire::WireType& type, ByteWriter& out) {
  out.u16_be(static_cast<uint16_t>(type.id));
  out.sized(type.keyspace);
  out.sized(type.name);
  out.varint(type.parameters.size());
  for (const auto& parameter : type.parameters) append_type(parameter, out);
  for (const auto& field : type.field_names) out.sized(field);
}

size_t estimated_bytes(const PreparedStatement& statement) {
  constexpr size_t plan_base = 2048, plan_column = 256;
  const size_t columns = statement.plan->bind_markers.size() + statement.plan->result.columns.size();
  return plan_base + 2 * statement.text.size() + statement.keyspace.size() + plan_column * columns;
}

bool named(const QualifiedName& name) { return !name.keyspace.empty(); }

struct IsQualified {
  bool operator()(const Batch& batch) const {
    return std::ranges::all_of(batch.statements, [](const auto& statement) {
      return std::visit([](const auto& inner) { return named(inner.table); }, statement);
    });
  }
  template <class Body>
  bool operator()(const Body& body) const {
    if constexpr (requires { body.table; }) {
      return named(body.table);
    } else {
      return true;  // about keyspaces
    }
  }
};

}  // namespace

Bytes prepared_id(std::string_view keyspace, std::string_view text) {
  Bytes content;
  ByteWriter writer(content);
  writer.sized(keyspace);
  writer.raw(text);
  return hash_128(content);
}

Bytes result_metadata_id(const wire::ResultMetadata& metadata) {
  Bytes content;
  ByteWriter writer(content);
  for (const auto& column : metadata.columns) {
    writer.sized(column.keyspace);
    writer.sized(column.table);
    writer.sized(column.name);
    append_type(column.type, writer);
  }
  return hash_128(content);
}

bool is_fully_qualified(const Statement& statement) { return std::visit(IsQualified{}, statement.body); }

std::optional<PreparedCache::Id> PreparedCache::id_of(BytesView bytes) {
  if (bytes.size() != sizeof(Id)) return std::nullopt;
  return Id{load_big_endian<uint64_t>(bytes.data()), load_big_endian<uint64_t>(bytes.data() + 8)};
}

PreparedPtr PreparedCache::find(BytesView id) {
  const auto key = id_of(id);
  const auto it = key ? by_id_.find(*key) : by_id_.end();
  if (it == by_id_.end()) return nullptr;
  it->second.used = true;
  return it->second.statement;
}

std::vector<PreparedPtr> PreparedCache::statements() const {
  std::vector<PreparedPtr> all;
  for (const Id& id : order_) all.push_back(by_id_.at(id).statement);
  return all;
}

PreparedPtr PreparedCache::put(std::string keyspace, std::string text, PlanPtr plan) {
  auto statement = std::make_shared<PreparedStatement>();
  statement->id = prepared_id(keyspace, text);
  statement->result_metadata_id = result_metadata_id(plan->result);
  statement->keyspace = std::move(keyspace);
  statement->text = std::move(text);
  statement->plan = std::move(plan);
  const Id id = *id_of(statement->id);
  if (auto it = by_id_.find(id); it != by_id_.end()) {
    const PreparedStatement& old = *it->second.statement;
    statement->columns_changed = old.columns_changed || old.result_metadata_id != statement->result_metadata_id;
    bytes_ -= estimated_bytes(old);
    order_.erase(it->second.place);
    by_id_.erase(it);
  }
  bytes_ += estimated_bytes(*statement);
  order_.push_front(id);
  by_id_.emplace(id, Entry{statement, order_.begin()});
  evict(id);
  return statement;
}

void PreparedCache::evict(const Id& kept) {
  while (order_.size() > 1 && (order_.size() > count_max_ || bytes_ > bytes_max_)) {
    const auto oldest = by_id_.find(order_.back());
    if (std::exchange(oldest->second.used, false) || oldest->first == kept) {
      order_.splice(order_.begin(), order_, oldest->second.place);
      continue;
    }
    bytes_ -= estimated_bytes(*oldest->second.statement);
    order_.pop_back();
    by_id_.erase(oldest);
    ++evictions_;
  }
}

}  // namespace asterism::cql
