#include "cli/cql_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "datastore/calendar.h"
#include "datastore/literal.h"

namespace asterism {
namespace {

using datastore::DataType;
using datastore::TypeKind;

constexpr int bold_style = 1, dim_style = 2;

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<uint8_t>(c)));
    else
      out += c;
  }
  return out;
}

/// "2024-02-29 12:34:56.789000+0000" from "2024-02-29T12:34:56.789Z"; other texts, which are numbers, as they are.
std::string cqlsh_timestamp(std::string text) {
  if (!text.ends_with('Z')) return text;
  text.pop_back();
  if (const size_t t = text.rfind('T'); t != std::string::npos) text[t] = ' ';
  return text + "000+0000";
}

std::string print(const DataType& type, BytesView value, bool nested);

std::string print_collection(const DataType& type, BytesView value) {
  const bool list = type.kind() == TypeKind::list;
  std::string text(1, list ? '[' : '{');
  ByteReader in(value);
  const uint32_t count = in.u32_be();
  for (uint32_t i = 0; i < count && !in.at_end(); ++i) {
    if (i > 0) text += ", ";
    text += print(type.key(), in.raw(in.u32_be()), true);
    if (type.kind() == TypeKind::map) text += ": " + print(type.value(), in.raw(in.u32_be()), true);
  }
  return text + (list ? ']' : '}');
}

std::string print_tuple(const DataType& type, BytesView value) {
  std::string text;
  ByteReader in(value);
  for (const DataType& part : type.arguments()) {
    if (!text.empty()) text += ", ";
    const int32_t size = in.at_end() ? -1 : static_cast<int32_t>(in.u32_be());
    text += size < 0 ? "null" : print(part, in.raw(static_cast<uint32_t>(size)), true);
  }
  return "(" + text + ")";
}

/// `value` is valid.
std::string print(const DataType& type, BytesView value, bool nested) {
  switch (type.kind()) {
    case TypeKind::boolean:
      if (!value.empty()) return value[0] == 0 ? "False" : "True";
      break;
    case TypeKind::timestamp: {
      const std::string text = cqlsh_timestamp(to_display(type, value));
      return nested ? "'" + text + "'" : text;
    }
    case TypeKind::list:
    case TypeKind::set:
    case TypeKind::map:
      return print_collection(type, value);
    case TypeKind::tuple:
      return print_tuple(type, value);
    default:
      break;
  }
  return escaped(nested ? to_text(type, value) : to_display(type, value));
}

struct Range {
  char32_t first, last;
};
// clang-format off: one range a line says no more
// East Asian Width W and F, with emoji.
constexpr auto wide = std::to_array<Range>(
    {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},   {0x26A1, 0x26A1},
     {0x2705, 0x2705},   {0x274C, 0x274C},   {0x2753, 0x2755},   {0x2795, 0x2797},   {0x2B50, 0x2B50},
     {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},
     {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
     {0xFFE0, 0xFFE6},   {0x16FE0, 0x18CFF}, {0x1B000, 0x1B2FF}, {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF},
     {0x1F18E, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F7E0, 0x1F7EB},
     {0x1F90C, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD}});
constexpr auto without_width = std::to_array<Range>(
    {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F}, {0x0E31, 0x0E31},
     {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x202A, 0x202E},
     {0x2060, 0x2064}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF}});
// clang-format on

bool is_in(std::span<const Range> ranges, char32_t c) {
  const auto at = std::ranges::lower_bound(ranges, c, {}, &Range::last);
  return at != ranges.end() && at->first <= c;
}

/// The next character of valid UTF-8; whatever else there is counts byte by byte.
char32_t take_character(std::string_view& text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (size > text.size() || first < 0xC0) {
    text.remove_prefix(1);
    return first;
  }
  char32_t c = size == 1 ? first : first & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) c = c << 6 | (static_cast<uint8_t>(text[i]) & 0x3F);
  text.remove_prefix(size);
  return c;
}

}  // namespace

std::string format_value(const DataType& type, BytesView value) {
  if (!validate(type, value)) return "0x" + to_hex(value);
  return print(type, value, false);
}

size_t text_width(std::string_view utf8) {
  size_t width = 0;
  while (!utf8.empty()) {
    const char32_t c = take_character(utf8);
    if (c < 0x300)
      ++width;
    else if (!is_in(without_width, c))
      width += is_in(wide, c) ? 2 : 1;
  }
  return width;
}

TableText::TableText(std::vector<Column> columns, bool colours) : columns_(std::move(columns)), colours_(colours) {
  for (Column& column : columns_) {
    column.name = escaped(column.name);
    widths_.push_back(text_width(column.name));
  }
}

void TableText::measure(const std::vector<std::vector<TableCell>>& rows) {
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths_[i] = std::max(widths_[i], text_width(row[i].text));
}

size_t TableText::width() const {
  size_t all = 0;
  for (size_t width : widths_) all += width + 3;
  return all == 0 ? 0 : all - 1;
}

std::string TableText::styled(std::string_view text, int style) const {
  return colours_ && style != 0 ? fmt::format("\x1b[{}m{}\x1b[0m", style, text) : std::string(text);
}

std::string TableText::padded(const std::string& text, size_t width, bool right, int style) const {
  const size_t own = text_width(text);
  const std::string blank(width > own ? width - own : 0, ' ');
  return right ? blank + styled(text, style) : styled(text, style) + blank;
}

std::string TableText::header() const {
  std::string names, line;
  for (size_t i = 0; i < columns_.size(); ++i) {
    names += (i == 0 ? " " : " | ") + padded(columns_[i].name, widths_[i], columns_[i].right, bold_style);
    line += (i == 0 ? "" : "+") + std::string(widths_[i] + 2, '-');
  }
  return names + "\n" + line;
}

std::string TableText::row(const std::vector<TableCell>& cells) const {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i)
    line +=
        (i == 0 ? " " : " | ") + padded(cells[i].text, widths_[i], columns_[i].right, cells[i].null ? dim_style : 0);
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

std::string TableText::expanded(const std::vector<TableCell>& cells, uint64_t number) const {
  size_t names = 0, values = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    names = std::max(names, text_width(columns_[i].name));
    values = std::max(values, text_width(cells[i].text));
  }
  std::string text = fmt::format("@ Row {}\n", number) + std::string(names + 2, '-') + "+" +
                     std::string(std::min<size_t>(values + 2, 60), '-');
  for (size_t i = 0; i < cells.size(); ++i)
    text += "\n " + padded(columns_[i].name, names, false, bold_style) + " | " +
            styled(cells[i].text, cells[i].null ? dim_style : 0);
  return text;
}

}  // namespace asterism
