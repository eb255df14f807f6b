// Arbitrary bytes as a type and values of it: whatever validate() accepts must survive every other function.
#include <cstdlib>

#include "datastore/literal.h"
#include "datastore/type.h"

using namespace asterism;
using namespace asterism::datastore;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

DataType read_type(ByteReader& in, int depth) {
  auto kind = static_cast<TypeKind>(in.u8() % 24);
  if (kind < TypeKind::list) return DataType(kind);
  if (depth == 0) return DataType(TypeKind::int_);
  switch (kind) {
    case TypeKind::list:
      return DataType::list(read_type(in, depth - 1), true);
    case TypeKind::set:
      return DataType::set(read_type(in, depth - 1), true);
    case TypeKind::map: {
      DataType key = read_type(in, depth - 1);
      return DataType::map(std::move(key), read_type(in, depth - 1), true);
    }
    default: {
      std::vector<DataType> fields;
      for (int i = in.u8() % 4; i >= 0; --i) fields.push_back(read_type(in, depth - 1));
      return DataType::tuple(std::move(fields));
    }
  }
}

void check_one(const DataType& type, BytesView value) {
  require(compare(type, value, value) == 0);
  Bytes normal = normalize(type, value);
  require(validate(type, normal).has_value());
  require(normalize(type, normal) == normal);
  for (bool descending : {false, true}) {
    Bytes encoded;
    encode_ordered(type, value, descending, encoded);
    encoded += "tail";
    ByteReader in(encoded);
    Bytes decoded;
    require(decode_ordered(type, in, descending, decoded).has_value());
    require(in.rest() == "tail");
    require(validate(type, decoded).has_value());
    require(compare(type, value, decoded) == 0);
    Bytes again;
    encode_ordered(type, decoded, descending, again);
    require(again + "tail" == encoded);
  }
  std::string text = to_text(type, value);
  require(!text.empty() || !to_display(type, value).empty());
}

void check_two(const DataType& type, BytesView a, BytesView b) {
  int order = compare(type, a, b);
  require((order > 0) == (compare(type, b, a) < 0));
  Bytes x;
  Bytes y;
  encode_ordered(type, a, false, x);
  encode_ordered(type, b, false, y);
  require((x < y) == (order < 0) && (x == y) == (order == 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader in(BytesView(reinterpret_cast<const char*>(data), size));
  DataType type = read_type(in, 4);
  auto parsed = DataType::parse(type.to_string());
  require(!parsed || *parsed == type);
  size_t split = in.u16_be();
  BytesView a = in.raw(std::min<size_t>(split, in.remaining()));
  BytesView b = in.rest();
  for (BytesView value : {a, b}) {
    to_text(type, value);
    Bytes ignored;
    encode_ordered(type, value, false, ignored);
    ByteReader raw(value);
    Bytes decoded;
    if (decode_ordered(type, raw, (split & 1) != 0, decoded)) to_text(type, decoded);
    (void)DataType::parse(value);
    (void)from_text(type, value);
    if (validate(type, value)) check_one(type, value);
  }
  if (validate(type, a) && validate(type, b)) check_two(type, a, b);
  return 0;
}
