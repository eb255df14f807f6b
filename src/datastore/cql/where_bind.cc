// Conditions with their values: keys, slices and filters.
#include <algorithm>
#include <set>

#include "base/hash.h"
#include "datastore/cql/where.h"
#include "datastore/partition.h"

namespace asterism::cql {

namespace {

/// How many keys the alternatives of several columns may multiply to.
constexpr size_t max_combinations = 10'000;
constexpr size_t max_key_bytes = 65'535;

std::string name_of(const Restriction& condition) {
  if (condition.columns.size() == 1) return condition.column().name;
  std::string names;
  for (const Column* column : condition.columns) names += (names.empty() ? "" : ",") + column->name;
  return "(" + names + ")";
}

Answer<BytesView> required(const Restriction& condition, const wire::Value& value) {
  if (value.kind == wire::Value::Kind::value) return value.bytes;
  if (value.kind == wire::Value::Kind::unset) return invalid("Invalid unset value for column {}", name_of(condition));
  if (condition.target == Relation::Target::token) return invalid("Invalid null token value");
  if (condition.is_contains() || condition.key)
    return invalid("Unsupported null value for column {}", name_of(condition));
  return invalid("Invalid null value in condition for column {}", name_of(condition));
}

Answer<std::vector<BytesView>> tuple_parts(const Restriction& condition, BytesView tuple) {
  std::vector<DataType> types;
  for (const Column* column : condition.columns) types.push_back(column->type);
  std::vector<BytesView> parts;
  for (const MaybeView& field : split_collection(DataType::tuple(types), tuple)) {
    if (!field) return invalid("Invalid null value in condition for column {}", name_of(condition));
    parts.push_back(*field);
  }
  if (parts.size() != condition.columns.size()) {
    return invalid("Expected {} elements in value tuple, but got {}", condition.columns.size(), parts.size());
  }
  return parts;
}

}  // namespace

std::vector<MaybeView> split_collection(const DataType& type, BytesView value) {
  std::vector<MaybeView> items;
  ByteReader in(value);
  const bool tuple = type.kind() == TypeKind::tuple;
  uint64_t left = tuple ? type.arguments().size() : in.u32_be();
  if (type.kind() == TypeKind::map) left *= 2;
  for (; left > 0 && !in.failed() && !(in.at_end()); --left) {
    const auto size = static_cast<int32_t>(in.u32_be());
    if (size < 0) {
      items.emplace_back();
    } else {
      items.emplace_back(in.raw(static_cast<uint32_t>(size)));
    }
  }
  if (in.failed()) items.clear();
  return items;
}

Answer<Alternatives> evaluate(const Restriction& condition, const Bindings& bindings) {
  Alternatives found;
  for (const auto& alternative : condition.alternatives) {
    if (condition.in_marker) {
      TRY(wire::Value list, alternative.parts[0].evaluate(bindings));
      TRY(BytesView bytes, required(condition, list));
      for (const MaybeView& item : split_collection(alternative.parts[0].type, bytes)) {
        if (!item) return invalid("Invalid null value in condition for column {}", name_of(condition));
        if (condition.columns.size() == 1 && condition.target != Relation::Target::tuple) {
          found.push_back({*item});
        } else {
          TRY(auto parts, tuple_parts(condition, *item));
          found.push_back(std::move(parts));
        }
      }
      return found;
    }
    std::vector<BytesView> parts;
    for (const Expression& part : alternative.parts) {
      TRY(wire::Value value, part.evaluate(bindings));
      TRY(BytesView bytes, required(condition, value));
      parts.push_back(bytes);
    }
    if (alternative.whole) {
      TRY(parts, tuple_parts(condition, parts[0]));
    }
    found.push_back(std::move(parts));
  }
  return found;
}

static Answer<PartitionKey> partition_key(const std::vector<BytesView>& values) {
  for (BytesView value : values)
    if (value.size() > max_key_bytes)
      return invalid("Key length of {} is longer than maximum of {}", value.size(), max_key_bytes);
  if (values.size() == 1 && values[0].empty()) return invalid("Key may not be empty");
  Bytes bytes = make_partition_key(values);
  if (bytes.size() > max_key_bytes)
    return invalid("Key length of {} is longer than maximum of {}", bytes.size(), max_key_bytes);
  const int64_t token = murmur3_token(bytes);
  return PartitionKey{token, std::move(bytes)};
}

static Answer<PartitionKey> one_partition_key(const WherePlan& where, const Bindings& bindings) {
  std::vector<BytesView> values;
  values.reserve(where.partition.size());
  for (const Restriction& condition : where.partition) {
    TRY(wire::Value value, condition.alternatives[0].parts[0].evaluate(bindings));
    TRY(BytesView bytes, required(condition, value));
    values.push_back(bytes);
  }
  return partition_key(values);
}

Answer<std::vector<PartitionKey>> partition_keys(const WherePlan& where, const Bindings& bindings) {
  std::vector<PartitionKey> found;
  if (where.names_one_key) {
    TRY(PartitionKey key, one_partition_key(where, bindings));
    found.push_back(std::move(key));
    return found;
  }
  std::vector<std::vector<BytesView>> keys(1);
  for (const Restriction& condition : where.partition) {
    TRY(Alternatives values, evaluate(condition, bindings));
    if (values.size() * keys.size() > max_combinations) {
      return invalid("The partition keys selected by IN restrictions are more than {}", max_combinations);
    }
    std::vector<std::vector<BytesView>> longer;
    for (const auto& key : keys) {
      for (const auto& value : values) {
        longer.push_back(key);
        longer.back().push_back(value[0]);
      }
    }
    keys = std::move(longer);
  }
  for (const auto& values : keys) {
    TRY(PartitionKey key, partition_key(values));
    found.push_back(std::move(key));
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

// ---------------------------------------------------------------------------------------------------------- slices

namespace {

Slice slice_of_prefix(const Bytes& prefix) { return {prefix, datastore::after_prefix(prefix)}; }

void append_encoded(const Column& column, BytesView value, Bytes& out) {
  encode_ordered(column.type, value, column.descending, out);
}

/// What (columns) op values allows behind a prefix. In lexicographic order the comparison is decided by the first
/// column that differs; each of these cases is one range of bytes, whatever way its column runs.
std::vector<Slice> bound_slices(const Restriction& condition, const std::vector<BytesView>& values, Bytes prefix) {
  std::vector<Slice> slices;
  for (size_t i = 0; i < values.size(); ++i) {
    const Column& column = *condition.columns[i];
    Bytes at = prefix;
    append_encoded(column, values[i], at);
    const bool above = condition.is_lower() != column.descending;
    Slice slice = above ? Slice{datastore::after_prefix(at), datastore::after_prefix(prefix)} : Slice{prefix, at};
    // An empty `from` that comes from after_prefix means past everything; no encoding is made of 0xff alone.
    if (slice.from != slice.to) slices.push_back(std::move(slice));
    prefix = std::move(at);
  }
  if (condition.op == Operator::less_equal || condition.op == Operator::greater_equal) {
    slices.push_back(slice_of_prefix(prefix));
  }
  std::ranges::sort(slices, {}, &Slice::from);
  return slices;
}

bool ends_before(const Bytes& a, const Bytes& b) { return !a.empty() && (b.empty() || a < b); }

std::vector<Slice> intersect(const std::vector<Slice>& a, const std::vector<Slice>& b) {
  std::vector<Slice> both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    Slice common{std::max(a[i].from, b[j].from), ends_before(a[i].to, b[j].to) ? a[i].to : b[j].to};
    if (common.to.empty() || common.from < common.to) both.push_back(std::move(common));
    ends_before(a[i].to, b[j].to) ? ++i : ++j;
  }
  return both;
}

Answer<std::vector<Bytes>> fixed_prefixes(const WherePlan& where, const Bindings& bindings) {
  if (where.clustering.empty()) return std::vector<Bytes>(1);
  std::set<Bytes> prefixes{Bytes()};
  for (const Restriction& condition : where.clustering) {
    if (condition.is_slice()) break;
    TRY(Alternatives values, evaluate(condition, bindings));
    if (values.size() * prefixes.size() > max_combinations) {
      return invalid("The clustering keys selected by IN restrictions are more than {}", max_combinations);
    }
    std::set<Bytes> longer;
    for (const Bytes& prefix : prefixes) {
      for (const auto& value : values) {
        Bytes key = prefix;
        for (size_t i = 0; i < value.size(); ++i) {
          if (value[i].size() > max_key_bytes) {
            return invalid("Key length of {} is longer than maximum of {}", value[i].size(), max_key_bytes);
          }
          append_encoded(*condition.columns[i], value[i], key);
        }
        longer.insert(std::move(key));
      }
    }
    prefixes = std::move(longer);
  }
  return std::vector<Bytes>(prefixes.begin(), prefixes.end());
}

}  // namespace

Answer<std::vector<Slice>> clustering_slices(const WherePlan& where, const Bindings& bindings) {
  TRY(std::vector<Bytes> prefixes, fixed_prefixes(where, bindings));
  std::vector<Slice> slices;
  for (const Bytes& prefix : prefixes) slices.push_back(slice_of_prefix(prefix));
  for (const Restriction& condition : where.clustering) {
    if (!condition.is_slice()) continue;
    TRY(Alternatives values, evaluate(condition, bindings));
    std::vector<Slice> allowed;
    for (const Bytes& prefix : prefixes) {
      for (Slice& slice : bound_slices(condition, values.at(0), prefix)) allowed.push_back(std::move(slice));
    }
    slices = intersect(slices, allowed);
  }
  // Neighbours that touch become one.
  std::vector<Slice> joined;
  for (Slice& slice : slices) {
    if (!joined.empty() && !joined.back().to.empty() && joined.back().to == slice.from) {
      joined.back().to = std::move(slice.to);
    } else {
      joined.push_back(std::move(slice));
    }
  }
  return joined;
}

Answer<std::vector<Bytes>> clustering_keys(const WherePlan& where, const Bindings& bindings) {
  return fixed_prefixes(where, bindings);
}

Answer<TokenRange> token_range(const WherePlan& where, const Bindings& bindings) {
  TokenRange range;
  for (const Restriction& condition : where.tokens) {
    TRY(Alternatives values, evaluate(condition, bindings));
    if (values[0][0].size() != 8) return invalid("Invalid empty token value");
    const auto token = load_big_endian<int64_t>(values[0][0].data());
    switch (condition.op) {
      case Operator::equal:
        range.from = std::max(range.from, token);
        range.to = std::min(range.to, token);
        break;
      case Operator::greater:
        if (token == INT64_MAX) range.empty = true;
        if (!range.empty) range.from = std::max(range.from, token + 1);
        break;
      case Operator::greater_equal:
        range.from = std::max(range.from, token);
        break;
      case Operator::less:
        // As in Cassandra, the least token as an upper bound means the end of the ring.
        if (token != INT64_MIN) range.to = std::min(range.to, token - 1);
        break;
      default:
        if (token != INT64_MIN) range.to = std::min(range.to, token);
        break;
    }
  }
  range.empty |= range.from > range.to;
  return range;
}

// --------------------------------------------------------------------------------------------------------- filters

Answer<std::vector<BoundFilter>> bind_filters(const WherePlan& where, const Bindings& bindings) {
  std::vector<BoundFilter> filters;
  for (const Restriction& condition : where.filters) {
    BoundFilter filter;
    filter.condition = &condition;
    TRY(filter.alternatives, evaluate(condition, bindings));
    if (condition.key) {
      TRY(wire::Value key, condition.key->evaluate(bindings));
      TRY(filter.key.emplace(), required(condition, key));
    }
    filters.push_back(std::move(filter));
  }
  return filters;
}

namespace {

bool holds(Operator op, int order) {
  switch (op) {
    case Operator::less:
      return order < 0;
    case Operator::less_equal:
      return order <= 0;
    case Operator::greater:
      return order > 0;
    case Operator::greater_equal:
      return order >= 0;
    default:
      return order == 0;
  }
}

bool matches_collection(const BoundFilter& filter, BytesView value) {
  const DataType& type = filter.condition->column().type;
  const BytesView wanted = filter.alternatives[0][0];
  const auto items = split_collection(type, value);
  const bool map = type.kind() == TypeKind::map;
  for (size_t i = 0; i < items.size(); i += map ? 2 : 1) {
    if (filter.key) {
      if (items[i] && compare(type.key(), *items[i], *filter.key) == 0 && i + 1 < items.size() && items[i + 1]) {
        return compare(type.value(), *items[i + 1], wanted) == 0;
      }
      continue;
    }
    const bool by_value = map && filter.condition->op == Operator::contains;
    const size_t at = by_value ? i + 1 : i;
    const DataType& element = by_value ? type.value() : type.arguments()[0];
    if (at < items.size() && items[at] && compare(element, *items[at], wanted) == 0) return true;
  }
  return false;
}

}  // namespace

bool matches(const BoundFilter& filter, const ColumnValues& row) {
  const Restriction& condition = *filter.condition;
  if (condition.is_contains() || filter.key) {
    const MaybeView value = row.value_of(condition.column());
    return value && matches_collection(filter, *value);
  }
  for (const auto& alternative : filter.alternatives) {
    int order = 0;
    for (size_t i = 0; i < alternative.size() && order == 0; ++i) {
      const MaybeView value = row.value_of(*condition.columns[i]);
      if (!value) return false;
      order = compare(condition.columns[i]->type, *value, alternative[i]);
    }
    if (holds(condition.op, order)) return true;
  }
  return false;
}

}  // namespace asterism::cql
