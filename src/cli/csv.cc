#include "cli/csv.h"

#include <algorithm>

namespace asterism {
namespace {

uint64_t count_lines(const char* from, const char* to) { return static_cast<uint64_t>(std::count(from, to, '\n')); }

const char* line_end(const char* from, const char* end) {
  return static_cast<const char*>(std::memchr(from, '\n', static_cast<size_t>(end - from)));
}

/// `""` to `"`, in place; the size that is left.
size_t undouble(char* text, size_t size) {
  char* to = text;
  for (size_t i = 0; i < size; ++i) {
    *to++ = text[i];
    if (text[i] == '"') ++i;
  }
  return static_cast<size_t>(to - text);
}

}  // namespace

CsvReader::Found CsvReader::take(char* data, size_t size, bool last) {
  char* const end = data + size;
  char* begin = data;
  while (begin < end && (*begin == '\n' || (*begin == '\r' && begin + 1 < end && begin[1] == '\n'))) {
    begin += *begin == '\n' ? 1 : 2;
    ++next_line_;
  }
  consumed_ = static_cast<size_t>(begin - data);
  record_line_ = next_line_;
  if (begin == end) return Found::nothing;
  raw_.clear();
  return scan(data, begin, end, last);
}

const char* CsvReader::skip_quoted(const char* at, const char* end, bool& doubled) const {
  for (++at;;) {
    at = static_cast<const char*>(std::memchr(at, '"', static_cast<size_t>(end - at)));
    if (at == nullptr) return nullptr;
    if (at + 1 == end || at[1] != '"') return at + 1;
    doubled = true;
    at += 2;
  }
}

CsvReader::Found CsvReader::scan(char* data, char* begin, char* end, bool last) {
  const char* at = begin;
  while (true) {
    const char* const field = at;
    Raw raw{static_cast<size_t>(at - data), 0, at < end && *at == '"', false};
    if (raw.quoted) {
      at = skip_quoted(at, end, raw.doubled);
      if (at == nullptr) return not_whole(begin, field, end, last, "the quote that opens here is never closed");
      // The quote may be the first half of a doubled one.
      if (at == end && !last) return not_whole(begin, field, end, last, "");
      ++raw.begin;
      raw.size = static_cast<size_t>(at - field) - 2;
      const bool carriage = at + 1 < end && *at == '\r' && at[1] == '\n';
      if (at + 1 == end && *at == '\r' && !last) return not_whole(begin, field, end, last, "");
      if (at < end && *at != delimiter_ && *at != '\n' && !carriage)
        return bad(begin, at, end, last, "a closing quote must be followed by a delimiter or the end of the line");
      at += carriage ? 1 : 0;
    } else {
      while (at < end && *at != delimiter_ && *at != '\n' && *at != '"') ++at;
      if (at == end && !last) return not_whole(begin, field, end, last, "");
      if (at < end && *at == '"' && delimiter_ != '"')
        return bad(begin, at, end, last, "a quote within a field that does not begin with one");
      raw.size = static_cast<size_t>(at - field);
      if ((at == end || *at == '\n') && raw.size > 0 && at[-1] == '\r' && at < end) --raw.size;
    }
    if (raw_.size() == fields_max) return bad(begin, field, end, last, "too many fields");
    raw_.push_back(raw);
    if (at < end && *at == delimiter_) {
      ++at;
      // A delimiter at the very end is followed by one more, empty field.
      if (at == end && !last) return not_whole(begin, field, end, last, "");
      continue;
    }
    if (at < end) ++at;
    if (static_cast<size_t>(at - begin) > record_bytes_max)
      return bad(begin, begin, end, last, "a record of over 16 MiB");
    break;
  }
  next_line_ += count_lines(begin, at);
  consumed_ = static_cast<size_t>(at - data);
  fields_.clear();
  for (const Raw& raw : raw_) {
    char* text = data + raw.begin;
    fields_.push_back({BytesView(text, raw.doubled ? undouble(text, raw.size) : raw.size), raw.quoted});
  }
  return Found::record;
}

CsvReader::Found CsvReader::not_whole(const char* begin, const char* at, const char* end, bool last,
                                      const char* reason) {
  if (last) return bad(begin, at, end, last, reason);
  if (static_cast<size_t>(end - begin) > record_bytes_max)
    return bad(begin, begin, end, last, "a record of over 16 MiB");
  return Found::nothing;
}

CsvReader::Found CsvReader::bad(const char* begin, const char* at, const char* end, bool last, std::string reason) {
  const char* newline = line_end(at, end);
  const bool too_long = static_cast<size_t>(end - begin) > record_bytes_max;
  if (newline == nullptr && !last && !too_long) return Found::nothing;
  const char* line_begin = begin;
  for (const char* next = line_end(begin, at); next != nullptr; next = line_end(line_begin, at)) line_begin = next + 1;
  error_ = {record_line_ + count_lines(begin, at), static_cast<uint64_t>(at - line_begin) + 1, std::move(reason)};
  const char* behind = newline == nullptr ? end : newline + 1;
  next_line_ += count_lines(begin, behind);
  consumed_ += static_cast<size_t>(behind - begin);
  return Found::bad;
}

void append_csv(BytesView text, char delimiter, bool quotes, std::string& out) {
  const char special[] = {delimiter, '"', '\n', '\r'};
  if (!quotes && text.find_first_of(BytesView(special, sizeof special)) == BytesView::npos) {
    out += text;
    return;
  }
  out += '"';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace asterism
