#include "datastore/type.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace asterism::datastore {

namespace {

struct KindInfo {
  TypeKind kind;
  std::string_view name;
  uint16_t protocol_id;
};

constexpr std::array<KindInfo, 24> kinds = {{
    {TypeKind::ascii, "ascii", 0x01},       {TypeKind::bigint, "bigint", 0x02},
    {TypeKind::blob, "blob", 0x03},         {TypeKind::boolean, "boolean", 0x04},
    {TypeKind::counter, "counter", 0x05},   {TypeKind::date, "date", 0x11},
    {TypeKind::decimal, "decimal", 0x06},   {TypeKind::double_, "double", 0x07},
    {TypeKind::duration, "duration", 0x15}, {TypeKind::float_, "float", 0x08},
    {TypeKind::inet, "inet", 0x10},         {TypeKind::int_, "int", 0x09},
    {TypeKind::smallint, "smallint", 0x13}, {TypeKind::text, "text", 0x0d},
    {TypeKind::time, "time", 0x12},         {TypeKind::timestamp, "timestamp", 0x0b},
    {TypeKind::timeuuid, "timeuuid", 0x0f}, {TypeKind::tinyint, "tinyint", 0x14},
    {TypeKind::uuid, "uuid", 0x0c},         {TypeKind::varint, "varint", 0x0e},
    {TypeKind::list, "list", 0x20},         {TypeKind::set, "set", 0x22},
    {TypeKind::map, "map", 0x21},           {TypeKind::tuple, "tuple", 0x31},
}};

constexpr bool kinds_are_in_order() {
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (static_cast<size_t>(kinds[i].kind) != i) return false;
  }
  return true;
}
static_assert(kinds_are_in_order());

bool takes_arguments(TypeKind kind) { return kind >= TypeKind::list; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Reads the CQL spelling of a type.
class TypeParser {
 public:
  explicit TypeParser(std::string_view text) : text_(text), whole_(text) {}

  Result<DataType> whole() {
    TRY(DataType type, one(1));
    skip_space();
    if (!text_.empty()) return fail(ErrorCode::invalid_argument, "Unknown type {}", whole_);
    return type;
  }

 private:
  Result<DataType> one(int depth) {
    if (depth > max_type_depth) {
      return fail(ErrorCode::too_large, "Types may not nest deeper than {} levels", max_type_depth);
    }
    std::string_view written;
    std::string name = word(written);
    if (name == "varchar") return DataType(TypeKind::text);
    if (name == "frozen") return frozen(depth);
    const auto* info =
        std::find_if(kinds.begin(), kinds.end(), [&](const KindInfo& kind) { return kind.name == name; });
    if (name.empty() || info == kinds.end()) return fail(ErrorCode::invalid_argument, "Unknown type {}", whole_);
    if (!takes_arguments(info->kind)) return DataType(info->kind);
    return with_arguments(info->kind, depth);
  }

  Result<DataType> frozen(int depth) {
    TRY_STATUS(expect('<'));
    TRY(DataType inner, one(depth + 1));
    TRY_STATUS(expect('>'));
    if (inner.arguments().empty()) {
      return fail(ErrorCode::invalid_argument,
                  "frozen<> is only allowed on collections, tuples, and user-defined types (got {})",
                  inner.to_string());
    }
    if (inner.kind() == TypeKind::tuple) return inner;
    return inner.freeze();
  }

  Result<DataType> with_arguments(TypeKind kind, int depth) {
    TRY_STATUS(expect('<'));
    std::vector<DataType> arguments;
    do {
      TRY(DataType argument, one(depth + 1));
      arguments.push_back(std::move(argument));
      if (arguments.size() > 4096) return fail(ErrorCode::too_large, "Too many fields in type {}", whole_);
    } while (accept(','));
    TRY_STATUS(expect('>'));
    size_t expected = kind == TypeKind::map ? 2 : kind == TypeKind::tuple ? arguments.size() : 1;
    if (arguments.size() != expected) return fail(ErrorCode::invalid_argument, "Unknown type {}", whole_);
    for (const DataType& argument : arguments) {
      if (argument.kind() == TypeKind::counter) {
        return fail(ErrorCode::invalid_argument, "Counters are not allowed inside {}",
                    kind == TypeKind::tuple ? "tuples" : "collections");
      }
    }
    if (kind == TypeKind::tuple) return DataType::tuple(std::move(arguments));
    if (kind == TypeKind::map) {
      if (arguments[0].mentions(TypeKind::duration)) {
        return fail(ErrorCode::invalid_argument, "Durations are not allowed as map keys: {}", whole_);
      }
      return DataType::map(std::move(arguments[0]), std::move(arguments[1]));
    }
    if (kind == TypeKind::set) {
      if (arguments[0].mentions(TypeKind::duration)) {
        return fail(ErrorCode::invalid_argument, "Durations are not allowed inside sets: {}", whole_);
      }
      return DataType::set(std::move(arguments[0]));
    }
    return DataType::list(std::move(arguments[0]));
  }

  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\t' || text_[0] == '\n' || text_[0] == '\r')) {
      text_.remove_prefix(1);
    }
  }
  std::string word(std::string_view& written) {
    skip_space();
    size_t end = 0;
    while (end < text_.size() && ((lower(text_[end]) >= 'a' && lower(text_[end]) <= 'z') || text_[end] == '_')) ++end;
    written = text_.substr(0, end);
    text_.remove_prefix(end);
    std::string folded(written);
    std::transform(folded.begin(), folded.end(), folded.begin(), lower);
    return folded;
  }
  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  Status expect(char c) {
    if (accept(c)) return {};
    return fail(ErrorCode::invalid_argument, "Unknown type {}", whole_);
  }

  std::string_view text_;
  std::string_view whole_;
};

/// Finds an unfrozen collection inside a collection that stays unfrozen.
const DataType* unfrozen_inside(const DataType& type) {
  if (!type.is_multi_cell()) return nullptr;
  for (const DataType& argument : type.arguments()) {
    if (argument.is_multi_cell()) return &argument;
  }
  return nullptr;
}

}  // namespace

std::string_view to_string(TypeKind kind) { return kinds[static_cast<size_t>(kind)].name; }
uint16_t protocol_id(TypeKind kind) { return kinds[static_cast<size_t>(kind)].protocol_id; }

DataType::DataType(TypeKind kind) : kind_(kind) { ASSERT(!takes_arguments(kind)); }

DataType::DataType(TypeKind kind, bool frozen, std::vector<DataType> arguments)
    : kind_(kind), frozen_(frozen), arguments_(std::make_shared<const std::vector<DataType>>(std::move(arguments))) {}

DataType DataType::list(DataType element, bool frozen) {
  DataType type(TypeKind::list, false, {std::move(element)});
  return frozen ? type.freeze() : type;
}

DataType DataType::set(DataType element, bool frozen) {
  DataType type(TypeKind::set, false, {std::move(element)});
  return frozen ? type.freeze() : type;
}

DataType DataType::map(DataType key, DataType value, bool frozen) {
  DataType type(TypeKind::map, false, {std::move(key), std::move(value)});
  return frozen ? type.freeze() : type;
}

DataType DataType::tuple(std::vector<DataType> fields) {
  ASSERT(!fields.empty());
  for (DataType& field : fields) field = field.freeze();
  return DataType(TypeKind::tuple, true, std::move(fields));
}

Result<DataType> DataType::parse(std::string_view text) {
  TRY(DataType type, TypeParser(text).whole());
  if (const DataType* inner = unfrozen_inside(type)) {
    return fail(ErrorCode::invalid_argument, "Non-frozen collections are not allowed inside collections: {}",
                inner->to_string());
  }
  return type;
}

DataType DataType::freeze() const {
  if (!is_collection() || frozen_) return *this;
  std::vector<DataType> inner;
  inner.reserve(arguments_->size());
  for (const DataType& argument : *arguments_) inner.push_back(argument.freeze());
  return DataType(kind_, true, std::move(inner));
}

bool DataType::mentions(TypeKind kind) const {
  if (kind_ == kind) return true;
  return std::any_of(arguments().begin(), arguments().end(), [&](const DataType& type) { return type.mentions(kind); });
}

std::string DataType::to_string() const {
  std::string text(datastore::to_string(kind_));
  if (!arguments_) return text;
  text += '<';
  for (size_t i = 0; i < arguments_->size(); ++i) {
    if (i > 0) text += ", ";
    text += (*arguments_)[i].to_string();
  }
  text += '>';
  return frozen_ ? "frozen<" + text + ">" : text;
}

bool operator==(const DataType& a, const DataType& b) {
  if (a.kind_ != b.kind_ || a.frozen_ != b.frozen_) return false;
  if (a.arguments_ == b.arguments_) return true;
  return std::ranges::equal(a.arguments(), b.arguments());
}

}  // namespace asterism::datastore
