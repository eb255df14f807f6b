// Values and rows as people read them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "datastore/type.h"

namespace asterism {

/// A value as cqlsh shows it, but for floating-point numbers, which have as many digits as tell them apart. Control
/// characters are written as escapes. `value` may be anything.
std::string format_value(const datastore::DataType& type, BytesView value);

/// How many columns of a terminal the text takes: two for wide characters, none for combining ones.
size_t text_width(std::string_view utf8);

struct TableCell {
  std::string text;
  bool null = false;
};

/// Rows under headers, or each row as a list of names and values.
class TableText {
 public:
  struct Column {
    std::string name;
    bool right = false;  // aligned
  };
  TableText(std::vector<Column> columns, bool colours);

  /// Widens columns for rows that come.
  void measure(const std::vector<std::vector<TableCell>>& rows);
  size_t width() const;
  std::string header() const;
  std::string row(const std::vector<TableCell>& cells) const;
  /// `number` counts from 1.
  std::string expanded(const std::vector<TableCell>& cells, uint64_t number) const;

 private:
  std::string styled(std::string_view text, int style) const;
  std::string padded(const std::string& text, size_t width, bool right, int style) const;

  std::vector<Column> columns_;
  std::vector<size_t> widths_;
  bool colours_;
};

}  // namespace asterism
