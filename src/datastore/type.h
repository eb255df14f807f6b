// CQL data types and what the store must know of their values: whether bytes are a value of the type, how two values
// compare, and how a value becomes part of a storage key.
//
// A value is the serialized form of the CQL binary protocol v4/v5 section 6: no length in front; elements of
// collections and tuples carry a 4-byte length, -1 standing for null. A null value of a column is absent bytes and
// never reaches these functions; the empty byte string is a value of most types, as in Cassandra.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism::datastore {

enum class TypeKind : uint8_t {
  ascii,
  bigint,
  blob,
  boolean,
  counter,
  date,
  decimal,
  double_,
  duration,
  float_,
  inet,
  int_,
  smallint,
  text,
  time,
  timestamp,
  timeuuid,
  tinyint,
  uuid,
  varint,
  list,
  set,
  map,
  tuple,
};

/// The word CQL uses, such as "bigint" or "text".
std::string_view to_string(TypeKind kind);

/// The [option] id of CQL binary protocol section 4.2.5.2. text is 0x000D (varchar).
uint16_t protocol_id(TypeKind kind);

/// How deep types may nest: list<list<int>> has depth 3. parse() refuses more.
inline constexpr int max_type_depth = 16;

/// Longest unscaled value of a varint or decimal, so that no conversion takes longer than a few milliseconds.
inline constexpr size_t max_number_size_bytes = 4096;

/// A type. Copies share the type's arguments; equality is structural. Keeps the two rules of Cassandra: whatever is
/// inside a frozen type or a tuple is itself frozen, and a tuple is always frozen.
class DataType {
 public:
  /// text
  DataType() = default;
  /// A type without arguments; ASSERTs that `kind` is not a collection or a tuple.
  DataType(TypeKind kind);  // NOLINT: int_ is a type wherever a type is wanted

  static DataType list(DataType element, bool frozen = false);
  static DataType set(DataType element, bool frozen = false);
  static DataType map(DataType key, DataType value, bool frozen = false);
  static DataType tuple(std::vector<DataType> fields);

  /// From CQL, such as "map<text, frozen<list<int>>>". Keywords fold case; varchar means text. Refuses what Cassandra
  /// refuses: unfrozen collections within collections, counters and durations in the wrong places.
  static Result<DataType> parse(std::string_view text);

  TypeKind kind() const { return kind_; }
  bool frozen() const { return frozen_; }
  bool is_collection() const { return kind_ == TypeKind::list || kind_ == TypeKind::set || kind_ == TypeKind::map; }
  /// A collection whose elements are cells of their own.
  bool is_multi_cell() const { return is_collection() && !frozen_; }
  /// list, set: the element; map: key, value; tuple: the fields; otherwise empty.
  std::span<const DataType> arguments() const {
    return arguments_ ? std::span<const DataType>(*arguments_) : std::span<const DataType>();
  }
  const DataType& element() const { return (*arguments_)[0]; }
  const DataType& key() const { return (*arguments_)[0]; }
  const DataType& value() const { return (*arguments_)[1]; }

  /// The same type within frozen<>; types without arguments stay as they are.
  DataType freeze() const;
  /// True if `kind` appears anywhere in the type.
  bool mentions(TypeKind kind) const;

  /// As in system_schema.columns.type: "map<text, frozen<list<int>>>", "frozen<tuple<int, text>>".
  std::string to_string() const;

  friend bool operator==(const DataType& a, const DataType& b);

 private:
  DataType(TypeKind kind, bool frozen, std::vector<DataType> arguments);

  TypeKind kind_ = TypeKind::text;
  bool frozen_ = false;
  std::shared_ptr<const std::vector<DataType>> arguments_;
};

/// True where the empty byte string is a value of the type although it encodes none, as for int; text and blob too.
bool allows_empty(TypeKind kind);

/// Whether `value` is a well-formed value of `type`. The message is Cassandra's ("Expected 4 or 0 byte int (3)").
Status validate(const DataType& type, BytesView value);

/// The value with every set and map in it, however deep, sorted by compare() and without duplicates (of a map's equal
/// keys the last one stays): what the store keeps of a set or map that a client sent. `value` must be valid.
Bytes normalize(const DataType& type, BytesView value);

/// Cassandra's order: <0, 0 or >0. Both values must have passed validate(). Empty sorts first. Values that
/// compare equal may differ in bytes: decimal 1.0 and 1.00, varint with spare sign bytes, NaNs, booleans other than
/// 0/1.
int compare(const DataType& type, BytesView a, BytesView b);

/// Appends an encoding of `value` whose byte order is compare()'s order, or its reverse if `descending`. No encoding is
/// the prefix of another of the same type, so encodings can be put one behind the other. Values that compare equal
/// have equal encodings, since they name the same row: what is kept is the order's value, not its spelling. `value`
/// must have passed validate(); otherwise the encoding is meaningless, but memory-safe.
void encode_ordered(const DataType& type, BytesView value, bool descending, Bytes& out);

/// Takes one encoding off `in` and appends the value to `out`: exactly what was encoded, except that values that have
/// several spellings come back in one (decimal without trailing zeros behind the point, shortest varint, boolean 1,
/// the canonical NaN, tuples with all fields spelled out).
Status decode_ordered(const DataType& type, ByteReader& in, bool descending, Bytes& out);

}  // namespace asterism::datastore
