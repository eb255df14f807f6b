// CSV as RFC 4180 has it: records end with LF or CRLF; a quoted field may hold delimiters, newlines and doubled quotes.
// A quote within a field that does not begin with one is an error. Empty lines are no records. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace asterism {

struct CsvField {
  BytesView text;  // without its quotes
  bool quoted = false;
};

/// Where a record stands, or what is wrong with it. Lines and columns count from 1, columns in bytes.
struct CsvError {
  uint64_t line = 0;
  uint64_t column = 0;
  std::string reason;
};

/// Takes one record after the other off a buffer, in place: fields are views into it, and doubled quotes are made one.
class CsvReader {
 public:
  static constexpr size_t record_bytes_max = 16 << 20;
  static constexpr size_t fields_max = 10'000;

  explicit CsvReader(char delimiter = ',') : delimiter_(delimiter) {}

  enum class Found : uint8_t { record, bad, nothing };
  /// The record at the buffer's begin. `nothing`: it is not whole, which with `last` means that there is none. After
  /// `bad` the next call goes on behind the line where it went wrong.
  Found take(char* data, size_t size, bool last);

  /// Of the latest record, until the buffer changes.
  const std::vector<CsvField>& fields() const { return fields_; }
  const CsvError& error() const { return error_; }
  /// Bytes that belong to what was found, empty lines in front of it included; with `nothing`, those empty lines alone.
  size_t consumed() const { return consumed_; }
  /// Where the latest record begins, and the line that the next one would begin on.
  uint64_t line() const { return record_line_; }
  uint64_t next_line() const { return next_line_; }
  void set_next_line(uint64_t line) { next_line_ = line; }

 private:
  Found not_whole(const char* begin, const char* at, const char* end, bool last, const char* reason);
  Found bad(const char* begin, const char* at, const char* end, bool last, std::string reason);
  Found scan(char* data, char* begin, char* end, bool last);
  /// Behind the closing quote; null where there is none.
  const char* skip_quoted(const char* at, const char* end, bool& doubled) const;

  struct Raw {
    size_t begin, size;
    bool quoted, doubled;
  };
  char delimiter_;
  std::vector<Raw> raw_;
  std::vector<CsvField> fields_;
  CsvError error_;
  size_t consumed_ = 0;
  uint64_t record_line_ = 1, next_line_ = 1;
};

/// Appends the field, in quotes where it needs them or `quotes` wants them.
void append_csv(BytesView text, char delimiter, bool quotes, std::string& out);

}  // namespace asterism
