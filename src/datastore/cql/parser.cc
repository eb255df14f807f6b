#include "datastore/cql/parser.h"

#include <algorithm>
#include <array>

#include "datastore/cql/parser_impl.h"

namespace asterism::cql {

namespace {

std::string_view as_written(const Token& token) {
  if (token.kind == Token::Kind::end) return "<EOF>";
  return token.text.substr(0, 200);
}

}  // namespace

bool Parser::Nested::too_deep() const {
  if (parser_.depth_ <= parser_.limits_.max_depth) return false;
  parser_.refuse(ErrorCode::too_large, fmt::format("nested deeper than {} levels", parser_.limits_.max_depth),
                 parser_.token_.at);
  return true;
}

bool Parser::accept(char c) {
  if (!token_.is(c)) return false;
  advance();
  return true;
}

bool Parser::accept(Keyword keyword) {
  if (!token_.is(keyword)) return false;
  advance();
  return true;
}

bool Parser::accept(Token::Kind kind) {
  if (token_.kind != kind) return false;
  advance();
  return true;
}

bool Parser::expect(char c) {
  if (accept(c)) return true;
  return mismatched(fmt::format("'{}'", c));
}

bool Parser::expect(Keyword keyword) {
  if (accept(keyword)) return true;
  return mismatched(token_name(keyword));
}

bool Parser::refuse(ErrorCode code, std::string_view what, const Position& at) {
  if (error_.message.empty()) error_ = {code, fmt::format("line {}:{} {}", at.line, at.column - 1, what)};
  return false;
}

bool Parser::syntax_error(std::string_view what) {
  std::string message(what);
  if (token_.kind != Token::Kind::end) message += " (" + snippet() + ")";
  return refuse(ErrorCode::invalid_argument, message, token_.at);
}

bool Parser::mismatched(std::string_view expected) {
  return syntax_error(fmt::format("mismatched input '{}' expecting {}", as_written(token_), expected));
}

bool Parser::no_alternative() {
  return syntax_error(fmt::format("no viable alternative at input '{}'", as_written(token_)));
}

/// The words before the current token and the token itself in brackets, as Cassandra shows them.
std::string Parser::snippet() const {
  constexpr size_t words = 5;
  constexpr size_t longest = 200;
  std::array<size_t, words> starts = {};
  size_t count = 0;
  auto token_start = static_cast<size_t>(token_.text.data() - text_.data());
  Lexer lexer(text_);
  for (Token token = lexer.next(); token.kind != Token::Kind::end; token = lexer.next()) {
    auto start = static_cast<size_t>(token.text.data() - text_.data());
    if (start >= token_start) break;
    starts[count++ % words] = start;
  }
  size_t from = count == 0 ? token_start : count < words ? starts[0] : starts[count % words];
  if (token_start - from > longest) from = token_start - longest;
  std::string result = from == 0 ? "" : "...";
  for (char c : text_.substr(from, token_start - from)) {
    if (c != '\n') result.push_back(c);
  }
  result += fmt::format("[{}]", as_written(token_));
  if (token_start + token_.text.size() < text_.size()) result += "...";
  return result;
}

bool Parser::count_term() {
  if (++terms_ <= limits_.max_terms) return true;
  return refuse(ErrorCode::too_large, fmt::format("more than {} terms in a statement", limits_.max_terms), token_.at);
}

bool Parser::name(std::string& out) {
  if (!token_.is_name()) {
    if (token_.kind == Token::Kind::question) return syntax_error("Bind variables cannot be used for names");
    return no_alternative();
  }
  out = token_.content();
  advance();
  return count_term();
}

bool Parser::names(std::vector<std::string>& out) {
  if (!expect('(')) return false;
  do {
    if (!name(out.emplace_back())) return false;
  } while (accept(','));
  return expect(')');
}

bool Parser::qualified(QualifiedName& out) {
  out.at = token_.at;
  if (!name(out.name)) return false;
  if (!accept('.')) return true;
  out.keyspace = std::move(out.name);
  return name(out.name);
}

bool Parser::if_exists(bool& out) {
  if (!accept(Keyword::k_if)) return true;
  out = true;
  return expect(Keyword::k_exists);
}

bool Parser::if_not_exists(bool& out) {
  if (!accept(Keyword::k_if)) return true;
  out = true;
  return expect(Keyword::k_not) && expect(Keyword::k_exists);
}

bool Parser::end_of_statement() {
  while (accept(';')) {
  }
  if (token_.kind == Token::Kind::end) return true;
  if (token_.kind == Token::Kind::bad) return no_alternative();
  return mismatched("EOF");
}

bool Parser::statement(Statement& out) {
  auto parsed = [&]<class Body>(Body body, bool (Parser::*production)(Body&)) {
    if (!(this->*production)(body)) return false;
    out.body = std::move(body);
    return true;
  };
  bool ok = false;
  switch (token_.keyword) {
    case Keyword::k_select:
      ok = parsed(Select(), &Parser::select);
      break;
    case Keyword::k_insert:
      ok = parsed(Insert(), &Parser::insert);
      break;
    case Keyword::k_update:
      ok = parsed(Update(), &Parser::update);
      break;
    case Keyword::k_delete:
      ok = parsed(Delete(), &Parser::remove);
      break;
    case Keyword::k_begin:
      ok = parsed(Batch(), &Parser::batch);
      break;
    case Keyword::k_create:
      ok = create(out);
      break;
    case Keyword::k_alter:
      ok = alter(out);
      break;
    case Keyword::k_drop:
      ok = drop(out);
      break;
    case Keyword::k_describe:
    case Keyword::k_desc:
      ok = parsed(Describe(), &Parser::describe);
      break;
    case Keyword::k_use: {
      advance();
      Use use;
      ok = name(use.keyspace);
      out.body = std::move(use);
      break;
    }
    case Keyword::k_truncate: {
      advance();
      accept(Keyword::k_table) || accept(Keyword::k_columnfamily);
      Truncate truncate;
      ok = qualified(truncate.table);
      out.body = std::move(truncate);
      break;
    }
    case Keyword::k_grant:
    case Keyword::k_revoke:
      ok = grant(out, token_.is(Keyword::k_revoke));
      break;
    case Keyword::k_list:
      ok = list(out);
      break;
    case Keyword::k_add:
      advance();
      ok = unsupported("ADD", out);
      break;
    default:
      return no_alternative();
  }
  if (!ok || !end_of_statement()) return false;
  out.markers = std::move(markers_);
  return true;
}

bool Parser::whole_term(Term& out) { return term(out) && end_of_statement(); }

namespace {

Status check_size(std::string_view text, const ParseLimits& limits) {
  if (text.size() <= limits.max_size_bytes) return {};
  return fail(ErrorCode::too_large, "A statement of {} bytes is above the limit of {}", text.size(),
              limits.max_size_bytes);
}

}  // namespace

Result<Statement> parse(std::string_view text, const ParseLimits& limits) {
  TRY_STATUS(check_size(text, limits));
  Parser parser(text, limits);
  Result<Statement> statement;
  if (!parser.statement(*statement)) return std::unexpected(parser.error());
  return statement;
}

Result<Term> parse_term(std::string_view text, const ParseLimits& limits) {
  TRY_STATUS(check_size(text, limits));
  Parser parser(text, limits);
  Result<Term> term;
  if (!parser.whole_term(*term)) return std::unexpected(parser.error());
  return term;
}

bool needs_quotes(std::string_view name) {
  if (name.empty() || name[0] < 'a' || name[0] > 'z') return true;
  bool bare = std::all_of(name.begin(), name.end(),
                          [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (!bare) return true;
  Keyword keyword = find_keyword(name);
  return keyword != Keyword::none && !is_unreserved(keyword);
}

namespace {

std::string quote(std::string_view text, char mark) {
  std::string quoted(1, mark);
  for (char c : text) {
    quoted.push_back(c);
    if (c == mark) quoted.push_back(c);
  }
  quoted.push_back(mark);
  return quoted;
}

}  // namespace

std::string quote_identifier(std::string_view name) {
  return needs_quotes(name) ? quote(name, '"') : std::string(name);
}

std::string quote_string(std::string_view text) { return quote(text, '\''); }

const char* to_string(Operator op) {
  switch (op) {
    case Operator::equal:
      return "=";
    case Operator::less:
      return "<";
    case Operator::less_equal:
      return "<=";
    case Operator::greater:
      return ">";
    case Operator::greater_equal:
      return ">=";
    case Operator::not_equal:
      return "!=";
    case Operator::in:
      return "IN";
    case Operator::contains:
      return "CONTAINS";
    case Operator::contains_key:
      return "CONTAINS KEY";
    case Operator::like:
      return "LIKE";
    case Operator::is_not_null:
      return "IS NOT NULL";
  }
  return "";
}

}  // namespace asterism::cql
