#include "datastore/cql/wire_type.h"

#include "datastore/cql/notation.h"

namespace asterism::cql::wire {

using datastore::DataType;
using datastore::TypeKind;

namespace {

/// How many parameters an id takes: a number, or -1 for any.
int parameter_count(TypeId id) {
  switch (id) {
    case TypeId::list:
    case TypeId::set:
      return 1;
    case TypeId::map:
      return 2;
    case TypeId::udt:
    case TypeId::tuple:
      return -1;
    default:
      return 0;
  }
}

bool known(uint16_t id) { return (id <= 0x15 && id != 0x0A) || (id >= 0x20 && id <= 0x22) || id == 0x30 || id == 0x31; }

bool well_formed(const WireType& type) {
  int count = parameter_count(type.id);
  return known(static_cast<uint16_t>(type.id)) && (count < 0 || type.parameters.size() == static_cast<size_t>(count)) &&
         (type.id != TypeId::udt || type.field_names.size() == type.parameters.size());
}

Status encode(const WireType& type, NotationWriter& out, int depth) {
  if (depth > wire_type_depth_max) return fail(ErrorCode::too_large, "type nests deeper than {}", wire_type_depth_max);
  if (!well_formed(type))
    return fail(ErrorCode::invalid_argument, "type {:#x} with {} parameters", static_cast<int>(type.id),
                type.parameters.size());
  out.short_enum(type.id);
  if (type.id == TypeId::custom) out.string(type.name);
  if (type.id == TypeId::udt) {
    out.string(type.keyspace);
    out.string(type.name);
  }
  if (parameter_count(type.id) < 0) out.count(type.parameters.size());
  for (size_t i = 0; i < type.parameters.size(); ++i) {
    if (type.id == TypeId::udt) out.string(type.field_names[i]);
    TRY_STATUS(encode(type.parameters[i], out, depth + 1));
  }
  return {};
}

Result<WireType> decode(NotationReader& in, int depth) {
  if (depth > wire_type_depth_max) return fail(ErrorCode::too_large, "type nests deeper than {}", wire_type_depth_max);
  WireType type;
  uint16_t id = in.short_();
  if (in.failed()) return fail(ErrorCode::corrupt, "truncated type");
  if (!known(id)) return fail(ErrorCode::unsupported, "unknown type {:#x}", id);
  type.id = static_cast<TypeId>(id);
  if (type.id == TypeId::custom) type.name = in.string();
  if (type.id == TypeId::udt) {
    type.keyspace = in.string();
    type.name = in.string();
  }
  int fixed = parameter_count(type.id);
  size_t count = fixed >= 0 ? static_cast<size_t>(fixed) : in.count(2);
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    if (type.id == TypeId::udt) type.field_names.emplace_back(in.string());
    TRY(WireType parameter, decode(in, depth + 1));
    type.parameters.push_back(std::move(parameter));
  }
  if (in.failed()) return fail(ErrorCode::corrupt, "truncated type");
  return type;
}

Result<DataType> convert(const WireType& type, int depth) {
  if (depth > datastore::max_type_depth)
    return fail(ErrorCode::too_large, "type nests deeper than {}", datastore::max_type_depth);
  if (!well_formed(type))
    return fail(ErrorCode::invalid_argument, "type {:#x} with {} parameters", static_cast<int>(type.id),
                type.parameters.size());
  std::vector<DataType> arguments;
  for (const WireType& parameter : type.parameters) {
    TRY(DataType argument, convert(parameter, depth + 1));
    arguments.push_back(argument.freeze());
  }
  switch (type.id) {
    case TypeId::list:
      return DataType::list(std::move(arguments[0]));
    case TypeId::set:
      return DataType::set(std::move(arguments[0]));
    case TypeId::map:
      return DataType::map(std::move(arguments[0]), std::move(arguments[1]));
    case TypeId::tuple:
      if (!arguments.empty()) return DataType::tuple(std::move(arguments));
      break;
    default:
      for (uint8_t kind = 0; kind < static_cast<uint8_t>(TypeKind::list); ++kind)
        if (datastore::protocol_id(static_cast<TypeKind>(kind)) == static_cast<uint16_t>(type.id))
          return DataType(static_cast<TypeKind>(kind));
  }
  return fail(ErrorCode::unsupported, "no data type has the option id {:#x}", static_cast<int>(type.id));
}

}  // namespace

WireType wire_type_of(const DataType& type) {
  WireType wire{static_cast<TypeId>(datastore::protocol_id(type.kind()))};
  for (const DataType& argument : type.arguments()) wire.parameters.push_back(wire_type_of(argument));
  return wire;
}

Result<DataType> data_type_of(const WireType& type) { return convert(type, 1); }

Status encode_type(const WireType& type, ByteWriter& out) {
  NotationWriter writer(out.buffer());
  TRY_STATUS(encode(type, writer, 1));
  if (writer.failed()) return fail(ErrorCode::too_large, "a name or field count of a type exceeds 65,535");
  return {};
}

Result<WireType> decode_type(ByteReader& in) {
  NotationReader reader(in.rest());
  if (in.failed()) reader.fail();
  TRY(WireType type, decode(reader, 1));
  in.raw(in.remaining() - reader.remaining());
  return type;
}

}  // namespace asterism::cql::wire
