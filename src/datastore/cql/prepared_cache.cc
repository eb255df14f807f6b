#include "datastore/cql/prepared_cache.h"

#include <algorithm>

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

PreparedPtr PreparedCache::find(BytesView id) {
  auto it = by_id_.find(Bytes(id));
  if (it == by_id_.end()) return nullptr;
  statements_.splice(statements_.begin(), statements_, it->second);
  return *it->second;
}

PreparedPtr PreparedCache::put(std::string keyspace, std::string text, PlanPtr plan) {
  auto statement = std::make_shared<PreparedStatement>();
  statement->id = prepared_id(keyspace, text);
  statement->result_metadata_id = result_metadata_id(plan->result);
  statement->keyspace = std::move(keyspace);
  statement->text = std::move(text);
  statement->plan = std::move(plan);
  if (auto it = by_id_.find(statement->id); it != by_id_.end()) {
    const PreparedStatement& old = **it->second;
    statement->columns_changed = old.columns_changed || old.result_metadata_id != statement->result_metadata_id;
    bytes_ -= estimated_bytes(old);
    statements_.erase(it->second);
    by_id_.erase(it);
  }
  bytes_ += estimated_bytes(*statement);
  statements_.push_front(statement);
  by_id_[statement->id] = statements_.begin();
  evict();
  return statement;
}

void PreparedCache::evict() {
  while (statements_.size() > 1 && (statements_.size() > count_max_ || bytes_ > bytes_max_)) {
    bytes_ -= estimated_bytes(*statements_.back());
    by_id_.erase(statements_.back()->id);
    statements_.pop_back();
    ++evictions_;
  }
}

}  // namespace asterism::cql
