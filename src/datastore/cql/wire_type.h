// The [option] that describes a column's type in metadata (native_protocol_v5.spec section 4.2.5.2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/type.h"

namespace asterism::cql::wire {

enum class TypeId : uint16_t {
  custom = 0x00,
  ascii = 0x01,
  bigint = 0x02,
  blob = 0x03,
  boolean = 0x04,
  counter = 0x05,
  decimal = 0x06,
  double_ = 0x07,
  float_ = 0x08,
  int_ = 0x09,
  timestamp = 0x0B,
  uuid = 0x0C,
  varchar = 0x0D,
  varint = 0x0E,
  timeuuid = 0x0F,
  inet = 0x10,
  date = 0x11,
  time = 0x12,
  smallint = 0x13,
  tinyint = 0x14,
  duration = 0x15,
  list = 0x20,
  map = 0x21,
  set = 0x22,
  udt = 0x30,
  tuple = 0x31,
};

/// A type as a peer describes it. Wider than DataType: a client meets user-defined and custom types too. Whether a type
/// is frozen is not on the wire.
struct WireType {
  TypeId id = TypeId::blob;
  std::string name = {};                      // custom: the class; udt: the type's name
  std::string keyspace = {};                  // udt
  std::vector<WireType> parameters = {};      // list, set: 1; map: key, value; tuple and udt: one a field
  std::vector<std::string> field_names = {};  // udt; as many as parameters

  bool operator==(const WireType&) const = default;
};

/// Types nested deeper than this are refused by both functions.
inline constexpr int wire_type_depth_max = 32;

WireType wire_type_of(const datastore::DataType& type);
/// Frozen inside, as every collection within another type must be; not frozen itself unless a tuple.
/// Errors: unsupported (user-defined, custom, a tuple without fields), too_large (deeper than max_type_depth),
/// invalid_argument (as encode_type).
Result<datastore::DataType> data_type_of(const WireType& type);

/// Errors: invalid_argument where the parameters do not fit the id, too_large where a count or string does not fit.
Status encode_type(const WireType& type, ByteWriter& out);
/// Errors: corrupt, unsupported (an unknown id), too_large (depth).
Result<WireType> decode_type(ByteReader& in);

}  // namespace asterism::cql::wire
