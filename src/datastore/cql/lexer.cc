#include "datastore/cql/lexer.h"

#include <algorithm>
#include <array>

namespace asterism::cql {

namespace {

struct KeywordInfo {
  std::string_view word;
  uint8_t usable;
};

// In alphabetical order, so that the enumerator is the place + 1.
constexpr std::array keywords = {
#define ASTERISM_CQL_ENTRY(word, usable) KeywordInfo{#word, usable},
    ASTERISM_CQL_KEYWORDS(ASTERISM_CQL_ENTRY)
#undef ASTERISM_CQL_ENTRY
};
static_assert(std::is_sorted(keywords.begin(), keywords.end(),
                             [](const auto& a, const auto& b) { return a.word < b.word; }));

constexpr size_t longest_keyword = 14;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '_'; }

}  // namespace

Keyword find_keyword(std::string_view word) {
  if (word.size() > longest_keyword) return Keyword::none;
  std::array<char, longest_keyword> buffer;
  std::transform(word.begin(), word.end(), buffer.begin(), lower);
  std::string_view folded(buffer.data(), word.size());
  const auto* found = std::lower_bound(keywords.begin(), keywords.end(), folded,
                                       [](const KeywordInfo& info, std::string_view text) { return info.word < text; });
  if (found == keywords.end() || found->word != folded) return Keyword::none;
  return static_cast<Keyword>(found - keywords.begin() + 1);
}

bool is_unreserved(Keyword keyword) {
  return keyword != Keyword::none && keywords[static_cast<size_t>(keyword) - 1].usable != 0;
}

std::string token_name(Keyword keyword) {
  if (keyword == Keyword::k_table) return "K_COLUMNFAMILY";
  std::string name = "K_";
  for (char c : keywords[static_cast<size_t>(keyword) - 1].word) {
    name.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c);
  }
  return name;
}

std::string Token::content() const {
  if (kind == Kind::word) {
    std::string folded(text);
    std::transform(folded.begin(), folded.end(), folded.begin(), lower);
    return folded;
  }
  if (kind == Kind::dollars) return std::string(text.substr(2, text.size() - 4));
  if (kind != Kind::quoted && kind != Kind::string) return std::string(text);
  std::string_view inner = text.substr(1, text.size() - 2);
  if (!escaped) return std::string(inner);
  std::string result;
  result.reserve(inner.size());
  for (size_t i = 0; i < inner.size(); ++i) {
    result.push_back(inner[i]);
    if (inner[i] == text[0]) ++i;
  }
  return result;
}

void Lexer::count_lines(size_t from, size_t to) {
  for (size_t i = from; i < to; ++i) {
    if (text_[i] != '\n') continue;
    ++line_;
    line_start_ = i + 1;
  }
}

/// Skips white space and comments; false at a comment that does not end.
bool Lexer::skip_blank() {
  while (offset_ < text_.size()) {
    char c = text_[offset_];
    size_t start = offset_;
    if (c == '\n') {
      ++line_;
      line_start_ = ++offset_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++offset_;
    } else if ((c == '-' || c == '/') && at(offset_ + 1) == c) {
      offset_ = std::min(text_.find_first_of("\r\n", offset_), text_.size());
    } else if (c == '/' && at(offset_ + 1) == '*') {
      size_t end = text_.find("*/", offset_ + 2);
      if (end == std::string_view::npos) return false;
      offset_ = end + 2;
      count_lines(start, offset_);
    } else {
      return true;
    }
  }
  return true;
}

Token Lexer::take(Token token, Token::Kind kind, size_t size) {
  token.kind = kind;
  token.text = text_.substr(offset_, size);
  offset_ += token.text.size();
  return token;
}

Token Lexer::next() {
  bool finished = skip_blank();
  Token token;
  token.at = {line_, static_cast<uint32_t>(offset_ - line_start_ + 1)};
  if (!finished) return take(token, Token::Kind::bad, 2);
  if (offset_ >= text_.size()) return take(token, Token::Kind::end, 0);
  char c = text_[offset_];
  if (is_hex(c)) {
    if (size_t size = uuid_size()) return take(token, Token::Kind::uuid, size);
  }
  if (is_digit(c)) return number(token);
  if (is_letter(c)) {
    size_t size = 1;
    while (is_word(at(offset_ + size))) ++size;
    if (c == 'P') {
      size_t duration = iso_duration_size();
      if (duration >= size) return take(token, Token::Kind::duration, duration);
    }
    token = take(token, Token::Kind::word, size);
    token.keyword = find_keyword(token.text);
    return token;
  }
  switch (c) {
    case '\'':
      return quoted(token, c, Token::Kind::string);
    case '"':
      return quoted(token, c, Token::Kind::quoted);
    case '?':
      return take(token, Token::Kind::question, 1);
    default:
      return symbol(token);
  }
}

Token Lexer::quoted(Token token, char quote, Token::Kind kind) {
  size_t start = offset_;
  size_t end = offset_ + 1;
  while (true) {
    end = text_.find(quote, end);
    if (end == std::string_view::npos) return take(token, Token::Kind::bad, 1);
    if (at(end + 1) != quote) break;
    token.escaped = true;
    end += 2;
  }
  token = take(token, kind, end + 1 - start);
  count_lines(start, offset_);
  return token;
}

Token Lexer::symbol(Token token) {
  char c = text_[offset_];
  char following = at(offset_ + 1);
  if (following == '=') {
    if (c == '<') return take(token, Token::Kind::less_equal, 2);
    if (c == '>') return take(token, Token::Kind::greater_equal, 2);
    if (c == '!') return take(token, Token::Kind::not_equal, 2);
    if (c == '+') return take(token, Token::Kind::add_assign, 2);
    if (c == '-') return take(token, Token::Kind::sub_assign, 2);
  }
  if (c == '.' && following == '.') return take(token, Token::Kind::range, 2);
  if (c == '$' && following == '$') {
    size_t start = offset_;
    size_t end = text_.find("$$", offset_ + 2);
    if (end == std::string_view::npos) return take(token, Token::Kind::bad, 2);
    token = take(token, Token::Kind::dollars, end + 2 - start);
    count_lines(start, offset_);
    return token;
  }
  constexpr std::string_view symbols = "()[]{}<>=,;.:*+-/%";
  if (symbols.find(c) == std::string_view::npos) return take(token, Token::Kind::bad, 1);
  token.symbol = c;
  return take(token, Token::Kind::symbol, 1);
}

size_t Lexer::uuid_size() const {
  constexpr std::string_view shape = "00000000-0000-0000-0000-000000000000";
  if (at(offset_ + 8) != '-') return 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    char c = at(offset_ + i);
    if (shape[i] == '-' ? c != '-' : !is_hex(c)) return 0;
  }
  return shape.size();
}

/// The length of digits-unit pairs from here on; 0 if there is none.
size_t Lexer::duration_size() const {
  constexpr std::array<std::string_view, 11> units = {"mo", "ms", "us", "ns", "\xc2\xb5s", "y",
                                                      "w",  "d",  "h",  "m",  "s"};
  size_t size = 0;
  while (true) {
    size_t digits = 0;
    while (is_digit(at(offset_ + size + digits))) ++digits;
    if (digits == 0) return size;
    size_t unit = 0;
    for (std::string_view name : units) {
      bool same = true;
      for (size_t i = 0; i < name.size(); ++i) same = same && lower(at(offset_ + size + digits + i)) == name[i];
      if (!same) continue;
      unit = name.size();
      break;
    }
    if (unit == 0) return size;
    size += digits + unit;
  }
}

size_t Lexer::iso_duration_size() const {
  constexpr std::string_view shape = "P0000-00-00T00:00:00";
  bool alternative = true;
  for (size_t i = 0; i < shape.size() && alternative; ++i) {
    char c = at(offset_ + i);
    alternative = shape[i] == '0' ? is_digit(c) : c == shape[i];
  }
  if (alternative) return shape.size();
  // Order and repetition are checked where the duration is read.
  size_t size = 1;
  size_t best = 0;
  bool time = false;
  while (true) {
    if (!time && at(offset_ + size) == 'T') {
      time = true;
      ++size;
    }
    size_t digits = 0;
    while (is_digit(at(offset_ + size + digits))) ++digits;
    char unit = at(offset_ + size + digits);
    std::string_view units = time ? "HMS" : "YMWD";
    if (digits == 0 || unit == '\0' || units.find(unit) == std::string_view::npos) return best;
    size += digits + 1;
    best = size;
  }
}

Token Lexer::number(Token token) {
  if (at(offset_) == '0' && lower(at(offset_ + 1)) == 'x') {
    size_t size = 2;
    while (is_hex(at(offset_ + size))) ++size;
    return take(token, Token::Kind::blob, size);
  }
  if (size_t size = duration_size()) return take(token, Token::Kind::duration, size);
  size_t size = 0;
  while (is_digit(at(offset_ + size))) ++size;
  bool floating = false;
  if (at(offset_ + size) == '.' && at(offset_ + size + 1) != '.') {
    floating = true;
    ++size;
    while (is_digit(at(offset_ + size))) ++size;
  }
  if (lower(at(offset_ + size)) == 'e') {
    size_t digits = at(offset_ + size + 1) == '+' || at(offset_ + size + 1) == '-' ? 2 : 1;
    if (is_digit(at(offset_ + size + digits))) {
      floating = true;
      size += digits;
      while (is_digit(at(offset_ + size))) ++size;
    }
  }
  return take(token, floating ? Token::Kind::floating : Token::Kind::integer, size);
}

}  // namespace asterism::cql
