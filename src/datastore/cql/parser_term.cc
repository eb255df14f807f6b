#include "datastore/cql/parser_impl.h"

namespace asterism::cql {

void Parser::combine(Term& left, char op, Term right) {
  Term whole;
  whole.kind = Term::Kind::operation;
  whole.at = left.at;
  whole.text = op;
  whole.items.reserve(2);
  whole.items.push_back(std::move(left));
  whole.items.push_back(std::move(right));
  left = std::move(whole);
}

/// x = <term> + x ends the term where a column's name follows.
bool Parser::ends_term() const {
  if (!token_.is('+') || !peek().is_name()) return false;
  Lexer ahead = lexer_;
  ahead.next();
  const Token next = ahead.next();
  return !next.is('(') && !next.is('.');
}

bool Parser::term(Term& out) {
  Nested nested(*this);
  return !nested.too_deep() && chain(out, "+-", &Parser::product, &Parser::ends_term);
}

bool Parser::product(Term& out) { return chain(out, "*/%", &Parser::simple_term); }

bool Parser::is_constant() const {
  switch (token_.kind) {
    case Token::Kind::string:
    case Token::Kind::dollars:
    case Token::Kind::integer:
    case Token::Kind::floating:
    case Token::Kind::uuid:
    case Token::Kind::blob:
    case Token::Kind::duration:
      return true;
    default:
      return token_.is(Keyword::k_true) || token_.is(Keyword::k_false) || token_.is(Keyword::k_nan) ||
             token_.is(Keyword::k_infinity) || token_.is(Keyword::k_null);
  }
}

bool Parser::constant(Term& out) {
  switch (token_.kind) {
    case Token::Kind::string:
    case Token::Kind::dollars:
      out.kind = Term::Kind::string;
      break;
    case Token::Kind::integer:
      out.kind = Term::Kind::integer;
      break;
    case Token::Kind::floating:
      out.kind = Term::Kind::decimal;
      break;
    case Token::Kind::uuid:
      out.kind = Term::Kind::uuid;
      break;
    case Token::Kind::blob:
      out.kind = Term::Kind::blob;
      out.text = token_.text.substr(2);
      advance();
      return true;
    case Token::Kind::duration:
      out.kind = Term::Kind::duration;
      break;
    default:
      if (token_.is(Keyword::k_null)) {
        out.kind = Term::Kind::null;
      } else if (token_.is(Keyword::k_nan) || token_.is(Keyword::k_infinity)) {
        out.kind = Term::Kind::decimal;
        out.text = token_.is(Keyword::k_nan) ? "NaN" : "Infinity";
      } else {
        out.kind = Term::Kind::boolean;
        out.text = token_.is(Keyword::k_true) ? "true" : "false";
      }
      advance();
      return true;
  }
  out.text = token_.content();
  advance();
  return true;
}

bool Parser::simple_term(Term& out) {
  if (!count_term()) return false;
  out.at = token_.at;
  if (is_constant()) return constant(out);
  if (token_.kind == Token::Kind::question || token_.is(':')) return marker(out);
  if (token_.is('-')) return negative(out);
  if (token_.is('{')) return braces(out);
  if (token_.is('(')) return parentheses(out);
  if (accept('[')) {
    out.kind = Term::Kind::list;
    return term_list(out.items, ']');
  }
  if (token_.is(Keyword::k_cast) && peek().is('(')) return cast_term(out);
  if (token_.is_name() || token_.is(Keyword::k_token)) return function_call(out);
  return no_alternative();
}

bool Parser::negative(Term& out) {
  Nested nested(*this);
  if (nested.too_deep()) return false;
  advance();
  bool number = token_.kind == Token::Kind::integer || token_.kind == Token::Kind::floating ||
                token_.kind == Token::Kind::duration || token_.is(Keyword::k_nan) || token_.is(Keyword::k_infinity);
  if (number) {
    bool nan = token_.is(Keyword::k_nan);
    if (!constant(out)) return false;
    if (!nan) out.text.insert(0, 1, '-');
    return true;
  }
  out.kind = Term::Kind::operation;
  out.text = "-";
  return simple_term(out.items.emplace_back());
}

bool Parser::marker(Term& out) {
  BindMarker bind;
  bind.at = token_.at;
  if (!accept(Token::Kind::question)) {
    advance();
    if (!name(bind.name)) return false;
  }
  if (markers_.size() >= limits_.max_markers) {
    return refuse(ErrorCode::too_large, fmt::format("more than {} bind markers", limits_.max_markers), bind.at);
  }
  out.kind = Term::Kind::marker;
  out.at = bind.at;
  out.marker = static_cast<uint32_t>(markers_.size());
  markers_.push_back(std::move(bind));
  return true;
}

bool Parser::integer_or_marker(std::optional<Term>& out) {
  Term& value = out.emplace();
  value.at = token_.at;
  if (token_.kind == Token::Kind::question || token_.is(':')) return marker(value);
  if (token_.is('-') && peek().kind == Token::Kind::integer) return negative(value);
  if (token_.kind != Token::Kind::integer) return no_alternative();
  return constant(value);
}

/// What follows an opening bracket, up to and with `close`.
bool Parser::term_list(std::vector<Term>& out, char close) {
  if (accept(close)) return true;
  do {
    if (!term(out.emplace_back())) return false;
  } while (accept(','));
  return expect(close);
}

bool Parser::braces(Term& out) {
  advance();
  out.kind = Term::Kind::set;
  if (accept('}')) return true;
  if (token_.is_name() && peek().is(':')) {
    out.kind = Term::Kind::udt;
    do {
      if (!name(out.names.emplace_back()) || !expect(':') || !term(out.items.emplace_back())) return false;
    } while (accept(','));
    return expect('}');
  }
  if (!term(out.items.emplace_back())) return false;
  if (accept(':')) {
    out.kind = Term::Kind::map;
    if (!term(out.items.emplace_back())) return false;
    while (accept(',')) {
      if (!term(out.items.emplace_back()) || !expect(':') || !term(out.items.emplace_back())) return false;
    }
    return expect('}');
  }
  while (accept(',')) {
    if (!term(out.items.emplace_back())) return false;
  }
  return expect('}');
}

/// (1, 2) or (int) 1
bool Parser::parentheses(Term& out) {
  advance();
  if (token_.is_name() || token_.is(Keyword::k_set)) {
    Lexer saved_lexer = lexer_;
    Token saved_token = token_;
    TypeName hint;
    if (try_type(hint) && accept(')')) {
      Nested nested(*this);
      if (nested.too_deep()) return false;
      out.kind = Term::Kind::hint;
      out.text = std::move(hint.text);
      return simple_term(out.items.emplace_back());
    }
    lexer_ = saved_lexer;
    token_ = saved_token;
  }
  out.kind = Term::Kind::tuple;
  if (token_.is(')')) return no_alternative();
  return term_list(out.items, ')');
}

bool Parser::function_call(Term& out) {
  Token first = token_;
  advance();
  out.kind = Term::Kind::function;
  out.text = first.content();
  if (accept('.')) {
    out.text += '.';
    if (!token_.is_name() && !token_.is(Keyword::k_token)) return no_alternative();
    out.text += token_.content();
    advance();
  }
  // A bare name is no term; Cassandra stumbles at the token after it.
  if (!accept('(')) return no_alternative();
  return term_list(out.items, ')');
}

bool Parser::cast_term(Term& out) {
  advance();
  advance();
  out.kind = Term::Kind::function;
  Term argument;
  if (!term(argument) || !expect(Keyword::k_as)) return false;
  TypeName target;
  if (!type(target)) return false;
  out.text = "castas" + target.text;
  out.items.push_back(std::move(argument));
  return expect(')');
}

bool Parser::try_type(TypeName& out) {
  Error before = error_;
  bool ok = type(out);
  if (!ok && error_.code != ErrorCode::too_large) error_ = std::move(before);
  return ok;
}

bool Parser::type(TypeName& out) {
  out.at = token_.at;
  return type_text(out.text, 1);
}

bool Parser::type_text(std::string& out, int depth) {
  if (depth > limits_.max_depth) {
    return refuse(ErrorCode::too_large, fmt::format("nested deeper than {} levels", limits_.max_depth), token_.at);
  }
  if (!count_term()) return false;
  if (token_.kind == Token::Kind::string) {
    out += token_.text;
    advance();
    return true;
  }
  if (!token_.is_name() && !token_.is(Keyword::k_set)) return no_alternative();
  bool bare = token_.kind == Token::Kind::word;
  out += bare ? (token_.is(Keyword::k_varchar) ? "text" : token_.content()) : std::string(token_.text);
  advance();
  if (accept('.')) {
    std::string second;
    if (!name(second)) return false;
    out += "." + quote_identifier(second);
    return true;
  }
  if (!bare || !accept('<')) return true;
  out += '<';
  while (true) {
    if (token_.kind == Token::Kind::integer) {
      out += token_.text;  // the dimension of a vector
      advance();
    } else if (!type_text(out, depth + 1)) {
      return false;
    }
    if (!accept(',')) break;
    out += ", ";
  }
  out += '>';
  return expect('>');
}

}  // namespace asterism::cql
