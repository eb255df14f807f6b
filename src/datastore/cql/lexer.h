// CQL text to tokens, one at a time and without allocation. Copying a Lexer remembers a place to go back to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "datastore/cql/ast.h"

namespace asterism::cql {

// X(word, class): 0 reserved, 1 usable as a name, 2 a type's name and usable as a name. Cassandra 5's sets.
// clang-format off: formatting it twice gives two results
#define ASTERISM_CQL_KEYWORDS(X)                                                                                       \
  X(access, 1)                                                                                                         \
  X(add, 0)                                                                                                            \
  X(aggregate, 1)                                                                                                      \
  X(aggregates, 1)                                                                                                     \
  X(all, 1) X(allow, 0) X(alter, 0) X(and, 0) X(ann, 1) X(apply, 0) X(as, 1) X(asc, 0) X(ascii, 2) X(authorize, 0) X(  \
      batch, 0) X(begin, 0) X(between, 1) X(bigint, 2) X(blob, 2) X(boolean, 2) X(by, 0) X(called, 1) X(cast, 1)       \
      X(check, 1) X(cidrs, 1) X(cluster, 1) X(clustering, 1) X(columnfamilies, 1) X(columnfamily, 0) X(compact, 1) X(  \
          contains, 1) X(count, 1) X(counter, 2) X(create, 0) X(custom, 1) X(datacenters, 1) X(date, 2) X(decimal, 2)  \
          X(default, 1) X(delete, 0) X(desc, 0) X(describe, 0) X(distinct, 1) X(double, 2) X(drop, 0) X(duration, 2)   \
              X(entries, 0) X(execute, 0) X(exists, 1) X(false, 0) X(filtering, 1) X(finalfunc, 1) X(float, 2) X(      \
                  from, 0) X(frozen, 1) X(full, 0)                                                                     \
                  X(function, 1) X(functions, 1) X(generated, 1) X(grant, 0) X(group, 1) X(hashed, 1) X(identity, 1)   \
                      X(if, 0) X(in, 0) X(index, 0) X(indexes, 1) X(inet, 2) X(infinity, 0) X(initcond, 1) X(input, 1) \
                          X(insert, 0) X(int, 2) X(internals, 1) X(into, 0) X(is, 0) X(json, 1) X(key, 1) X(keys, 1)   \
                              X(keyspace, 0) X(keyspaces, 1) X(language, 1) X(like, 1) X(limit, 0)                     \
                                  X(list, 1) X(login, 1) X(map, 1) X(masked, 1) X(materialized, 0)                     \
                                      X(maxwritetime, 1) X(mbean, 1) X(mbeans, 1) X(modify, 0) X(nan, 0) X(nologin, 1) \
                                          X(norecursive, 0) X(nosuperuser, 1) X(not, 0) X(null, 0) X(of, 0) X(on, 0)   \
                                              X(only, 1) X(options, 1) X(or, 0) X(order, 0) X(partition, 1) X(         \
                                                  password, 1) X(per, 1) X(permission, 1) X(permissions, 1)            \
                                                  X(primary, 0) X(rename, 0) X(replace, 1) X(returns, 1) X(revoke, 0)  \
                                                      X(role, 1) X(roles, 1) X(                                        \
                                                          schema, 0) X(select, 0) X(select_masked, 1)                  \
                                                          X(set, 0) X(sfunc, 1) X(smallint, 2) X(static, 1) X(         \
                                                              storage, 1) X(stype, 1) X(superuser, 1)                  \
                                                              X(superusers, 1) X(table, 0) X(tables, 1) X(text, 2)     \
                                                                  X(time, 2) X(timestamp, 2) X(timeuuid, 2)            \
                                                                      X(tinyint, 2) X(to, 0) X(token, 0) X(trigger, 1) \
                                                                          X(true, 0) X(truncate, 0) X(ttl, 1) X(       \
                                                                              tuple, 1) X(type, 1) X(types, 1)         \
                                                                              X(unlogged, 0) X(unmask, 1) X(unset, 1)  \
                                                                                  X(update, 0) X(use, 0) X(user, 1) X( \
                                                                                      users, 1) X(using, 0) X(uuid, 2) \
                                                                                      X(values, 1) X(varchar, 2)       \
                                                                                          X(varint, 2) X(vector, 1)    \
                                                                                              X(view, 0) X(where, 0)   \
                                                                                                  X(with, 0)           \
                                                                                                      X(writetime, 1)
// clang-format on

enum class Keyword : uint8_t {
  none,
#define ASTERISM_CQL_ENUMERATOR(word, usable) k_##word,
  ASTERISM_CQL_KEYWORDS(ASTERISM_CQL_ENUMERATOR)
#undef ASTERISM_CQL_ENUMERATOR
};

/// The keyword that `word` spells in any case, or none.
Keyword find_keyword(std::string_view word);
/// True if the keyword is also an identifier.
bool is_unreserved(Keyword keyword);
/// As Cassandra names it in errors: "K_FROM".
std::string token_name(Keyword keyword);

struct Token {
  enum class Kind : uint8_t {
    end,
    word,     // keyword or bare identifier
    quoted,   // "name"
    string,   // 'text'
    dollars,  // $$text$$
    integer,  // without sign
    floating,
    uuid,
    blob,  // 0x…
    duration,
    question,
    symbol,         // one character, in `symbol`
    less_equal,     // <=
    greater_equal,  // >=
    not_equal,      // !=
    add_assign,     // +=
    sub_assign,     // -=
    range,          // ..
    bad,            // a character or an unfinished string or comment that starts no token
  };
  Kind kind = Kind::end;
  Keyword keyword = Keyword::none;
  char symbol = 0;
  bool escaped = false;   // the string or quoted name holds a doubled quote
  std::string_view text;  // as written, quotes included
  Position at;

  bool is(char c) const { return kind == Kind::symbol && symbol == c; }
  bool is(Keyword word) const { return keyword == word; }
  /// A bare or quoted name, or an unreserved keyword.
  bool is_name() const {
    return kind == Kind::quoted || (kind == Kind::word && (keyword == Keyword::none || is_unreserved(keyword)));
  }
  /// The content: unquoted, or folded to lower case for words.
  std::string content() const;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// The next token; end again and again once there is none.
  Token next();

 private:
  char at(size_t offset) const { return offset < text_.size() ? text_[offset] : '\0'; }
  bool skip_blank();
  void count_lines(size_t from, size_t to);
  Token take(Token token, Token::Kind kind, size_t size);
  Token quoted(Token token, char quote, Token::Kind kind);
  size_t uuid_size() const;
  size_t duration_size() const;
  size_t iso_duration_size() const;
  Token number(Token token);
  Token symbol(Token token);

  std::string_view text_;
  size_t offset_ = 0;
  uint32_t line_ = 1;
  size_t line_start_ = 0;
};

}  // namespace asterism::cql
