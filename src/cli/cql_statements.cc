#include "cli/cql_statements.h"

#include <algorithm>
#include <array>
#include <span>

#include "datastore/cql/lexer.h"

namespace asterism {
namespace {

using cql::Keyword;
using cql::Lexer;
using cql::Token;

// clang-format off: one word a line says no more
constexpr auto commands = std::to_array<std::string_view>(
    {"HELP", "EXIT", "QUIT", "CONSISTENCY", "EXPAND", "PAGING", "SOURCE", "COPY", "TRACING", "CAPTURE", "LOGIN"});
constexpr auto first_words = std::to_array<std::string_view>(
    {"ALTER", "BEGIN BATCH", "BEGIN UNLOGGED BATCH", "CONSISTENCY", "CREATE", "DELETE", "DESCRIBE", "DROP", "EXIT",
     "EXPAND", "GRANT", "HELP", "INSERT", "LIST", "PAGING", "QUIT", "REVOKE", "SELECT", "SOURCE", "TRUNCATE", "UPDATE",
     "USE"});
constexpr auto other_words = std::to_array<std::string_view>(
    {"ALLOW FILTERING", "AND", "APPLY BATCH;", "AS", "ASC", "BY", "CLUSTERING ORDER", "CONTAINS", "DESC", "DISTINCT",
     "EXISTS", "FROM", "FROZEN", "GROUP BY", "IF", "IN", "INSERT", "INTO", "KEY", "KEYSPACE", "LIMIT", "LOGIN", "NOT",
     "ON", "ORDER BY", "PARTITION", "PASSWORD", "PER PARTITION LIMIT", "PERMISSIONS", "PRIMARY KEY", "ROLE", "ROLES",
     "SELECT", "SET", "STATIC", "SUPERUSER", "TABLE", "TIMESTAMP", "TO", "TOKEN", "TTL", "UPDATE", "USING", "VALUES",
     "WHERE", "WITH", "WRITETIME"});
constexpr auto types = std::to_array<std::string_view>(
    {"ascii", "bigint", "blob", "boolean", "date", "decimal", "double", "duration", "float", "inet", "int", "list",
     "map", "set", "smallint", "text", "time", "timestamp", "timeuuid", "tinyint", "tuple", "uuid", "varint"});
constexpr auto levels = std::to_array<std::string_view>(
    {"ALL", "ANY", "EACH_QUORUM", "LOCAL_ONE", "LOCAL_QUORUM", "ONE", "QUORUM", "THREE", "TWO"});
constexpr auto described = std::to_array<std::string_view>(
    {"CLUSTER", "FULL SCHEMA", "KEYSPACE", "KEYSPACES", "SCHEMA", "TABLE", "TABLES"});
// clang-format on

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

bool same_word(const Token& token, std::string_view word) {
  return token.kind == Token::Kind::word && upper(token.text) == word;
}

/// The rest of the text belongs to something that is not finished yet.
bool opens(const Token& token) {
  return token.kind == Token::Kind::bad && (token.text.starts_with('\'') || token.text.starts_with('"') ||
                                            token.text.starts_with("$$") || token.text.starts_with("/*"));
}

bool ends_at_line(const Token& first) {
  return !shell_command(first.text).empty() || first.is(Keyword::k_describe) || first.is(Keyword::k_desc);
}

/// Adds the words that begin with what is typed, in its case where they are keywords.
class Candidates {
 public:
  Candidates(Completion& out, std::string_view typed) : out_(out), typed_(typed), folded_(upper(typed)) {
    out_.replaces = typed.size();
  }
  void keywords(std::span<const std::string_view> words) {
    const bool lower = !typed_.empty() && typed_.back() >= 'a' && typed_.back() <= 'z';
    for (std::string_view word : words) {
      if (!upper(word).starts_with(folded_)) continue;
      std::string text(word);
      if (lower)
        for (char& c : text)
          if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      add(std::move(text));
    }
  }
  void name(std::string_view word) {
    if (word.starts_with(typed_)) add(std::string(word));
  }
  template <class Map>
  void names(const Map& map) {
    for (const auto& [word, below] : map) name(word);
  }

 private:
  void add(std::string word) {
    if (std::ranges::find(out_.words, word) == out_.words.end()) out_.words.push_back(std::move(word));
  }
  Completion& out_;
  std::string_view typed_;
  std::string folded_;
};

struct Typed {
  std::vector<Token> before;  // whole tokens
  std::string_view word;      // what is being typed; may be empty
  std::string qualifier;      // of "keyspace." in front of it
};

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '"';
}

Typed take_apart(std::string_view statement) {
  Typed typed;
  size_t begin = statement.size();
  while (begin > 0 && is_word_character(statement[begin - 1])) --begin;
  typed.word = statement.substr(begin);
  Lexer lexer(statement.substr(0, begin));
  for (Token token = lexer.next(); token.kind != Token::Kind::end; token = lexer.next()) {
    if (token.kind == Token::Kind::bad) break;
    typed.before.push_back(token);
  }
  if (typed.before.size() >= 2 && typed.before.back().is('.')) {
    typed.before.pop_back();
    typed.qualifier = std::string(typed.before.back().text);
    typed.before.pop_back();
  }
  return typed;
}

using Tables = std::map<std::string, SchemaNames::Columns>;

const Tables* tables_of(const SchemaNames& names, const std::string& keyspace) {
  const auto found = names.keyspaces.find(keyspace);
  return found == names.keyspaces.end() ? nullptr : &found->second;
}

/// Columns of the tables that the statement names or, where it names none yet, of the whole keyspace.
void add_columns(const Typed& typed, const SchemaNames& names, const std::string& keyspace, Candidates& out) {
  bool any = false;
  const auto add = [&](const Tables* tables, const std::string& table) {
    const auto found = tables ? tables->find(table) : Tables::const_iterator();
    if (!tables || found == tables->end()) return;
    any = true;
    for (const std::string& column : found->second) out.name(column);
  };
  for (size_t i = 0; i < typed.before.size(); ++i) {
    const std::string text(typed.before[i].text);
    const bool qualified = i >= 2 && typed.before[i - 1].is('.');
    add(tables_of(names, qualified ? std::string(typed.before[i - 2].text) : keyspace), text);
  }
  const Tables* tables = tables_of(names, keyspace);
  if (any || !tables) return;
  for (const auto& [table, columns] : *tables)
    for (const std::string& column : columns) out.name(column);
}

bool wants_table(const Token& token) {
  return token.is(Keyword::k_from) || token.is(Keyword::k_into) || token.is(Keyword::k_update) ||
         token.is(Keyword::k_table) || token.is(Keyword::k_truncate) || token.is(Keyword::k_on);
}

}  // namespace

std::string shell_command(std::string_view statement) {
  const Token first = Lexer(statement).next();
  if (first.kind != Token::Kind::word) return {};
  std::string word = upper(first.text);
  return std::ranges::find(commands, word) == commands.end() ? std::string() : word;
}

void StatementSplitter::drop(size_t end) {
  for (; at_ < end; ++at_) {
    column_ = text_[at_] == '\n' ? 1 : column_ + 1;
    if (text_[at_] == '\n') ++line_;
  }
  if (at_ < text_.size() && at_ < (64 << 10)) return;
  text_.erase(0, at_);
  at_ = 0;
}

void StatementSplitter::clear() {
  text_.clear();
  at_ = 0;
  line_ = column_ = 1;
}

bool StatementSplitter::idle() const { return Lexer(rest()).next().kind == Token::Kind::end; }

std::optional<StatementSplitter::Statement> StatementSplitter::next(bool last) {
  while (true) {
    const std::string_view text = rest();
    Lexer lexer(text);
    const Token first = lexer.next();
    const auto offset = [&](const Token& token) { return static_cast<size_t>(token.text.data() - text.data()); };
    if (first.kind == Token::Kind::end) return std::nullopt;
    const size_t begin = offset(first);
    if (first.is(';')) {
      drop(at_ + begin + 1);
      continue;
    }
    const size_t newline = ends_at_line(first) ? text.find('\n', begin) : std::string_view::npos;
    const bool batch = first.is(Keyword::k_begin);
    bool applied = false, closed = false;
    size_t end = text.size();
    for (Token token = first; token.kind != Token::Kind::end; token = lexer.next()) {
      if (offset(token) > newline || opens(token)) break;
      applied |= token.is(Keyword::k_apply);
      if (!token.is(';') || (batch && !applied)) continue;
      closed = true;
      end = offset(token);
      break;
    }
    if (!closed && newline != std::string_view::npos) {
      end = newline;
      closed = true;
    }
    if (!closed && !last) return std::nullopt;
    drop(at_ + begin);
    Statement statement{std::string(rest().substr(0, end - begin)), line_, column_};
    drop(std::min(at_ + (end - begin) + 1, text_.size()));
    return statement;
  }
}

Completion complete_cql(std::string_view statement, const SchemaNames& names, const std::string& keyspace) {
  Completion out;
  const Typed typed = take_apart(statement);
  Candidates candidates(out, typed.word);
  if (!typed.qualifier.empty()) {
    if (const Tables* tables = tables_of(names, typed.qualifier)) candidates.names(*tables);
    return out;
  }
  if (typed.before.empty()) {
    candidates.keywords(first_words);
    return out;
  }
  const Token& previous = typed.before.back();
  const Token& first = typed.before.front();
  if (same_word(first, "CONSISTENCY")) {
    candidates.keywords(levels);
  } else if (same_word(first, "EXPAND")) {
    candidates.keywords(std::to_array<std::string_view>({"ON", "OFF", "AUTO"}));
  } else if (same_word(first, "PAGING")) {
    candidates.keywords(std::to_array<std::string_view>({"OFF"}));
  } else if (previous.is(Keyword::k_use) || previous.is(Keyword::k_keyspace)) {
    candidates.names(names.keyspaces);
  } else if (wants_table(previous)) {
    if (const Tables* tables = tables_of(names, keyspace)) candidates.names(*tables);
    for (const auto& [name, tables] : names.keyspaces) candidates.name(name + ".");
  } else if (first.is(Keyword::k_describe) || first.is(Keyword::k_desc)) {
    candidates.keywords(described);
    candidates.names(names.keyspaces);
    if (const Tables* tables = tables_of(names, keyspace)) candidates.names(*tables);
  } else {
    add_columns(typed, names, keyspace, candidates);
    candidates.keywords(other_words);
    if (first.is(Keyword::k_create) || first.is(Keyword::k_alter)) candidates.keywords(types);
  }
  return out;
}

}  // namespace asterism
