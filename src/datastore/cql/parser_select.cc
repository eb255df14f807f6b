#include "datastore/cql/parser_impl.h"

namespace asterism::cql {

/// JSON and DISTINCT are also names: they are flags only where a selector follows.
bool Parser::is_flag() const {
  Token after = peek();
  switch (after.kind) {
    case Token::Kind::symbol:
      return after.is('*') || after.is('{') || after.is(':');
    case Token::Kind::word:
      return !after.is(Keyword::k_as) && !after.is(Keyword::k_from);
    case Token::Kind::end:
    case Token::Kind::bad:
      return false;
    default:
      return true;
  }
}

bool Parser::select(Select& out) {
  advance();
  if (token_.is(Keyword::k_json) && is_flag()) {
    out.json = true;
    advance();
  }
  if (token_.is(Keyword::k_distinct) && is_flag()) {
    out.distinct = true;
    advance();
  }
  if (!accept('*') && !selectors(out.selectors)) return false;
  if (!expect(Keyword::k_from) || !qualified(out.table)) return false;
  if (token_.is(Keyword::k_where) && !where(out.where)) return false;
  return select_tail(out);
}

bool Parser::select_tail(Select& out) {
  if (accept(Keyword::k_group)) {
    if (!expect(Keyword::k_by)) return false;
    do {
      if (!name(out.group_by.emplace_back())) return false;
    } while (accept(','));
  }
  if (accept(Keyword::k_order)) {
    if (!expect(Keyword::k_by)) return false;
    do {
      Ordering& ordering = out.order_by.emplace_back();
      ordering.at = token_.at;
      if (!name(ordering.column)) return false;
      ordering.descending = accept(Keyword::k_desc);
      if (!ordering.descending) accept(Keyword::k_asc);
    } while (accept(','));
  }
  if (accept(Keyword::k_per)) {
    if (!expect(Keyword::k_partition) || !expect(Keyword::k_limit) || !integer_or_marker(out.per_partition_limit)) {
      return false;
    }
  }
  if (accept(Keyword::k_limit) && !integer_or_marker(out.limit)) return false;
  if (accept(Keyword::k_allow)) {
    if (!expect(Keyword::k_filtering)) return false;
    out.allow_filtering = true;
  }
  return true;
}

bool Parser::selectors(std::vector<Selector>& out) {
  do {
    Selector& one = out.emplace_back();
    if (!selector(one)) return false;
    if (accept(Keyword::k_as) && !name(one.alias)) return false;
  } while (accept(','));
  return true;
}

void Parser::combine(Selector& left, char op, Selector right) {
  Selector whole;
  whole.kind = Selector::Kind::operation;
  whole.at = left.at;
  whole.name = op;
  whole.arguments.push_back(std::move(left));
  whole.arguments.push_back(std::move(right));
  left = std::move(whole);
}

bool Parser::selector(Selector& out) {
  Nested nested(*this);
  return !nested.too_deep() && chain(out, "+-", &Parser::selector_product);
}

bool Parser::selector_product(Selector& out) { return chain(out, "*/%", &Parser::selector_postfix); }

bool Parser::selector_postfix(Selector& out) {
  if (!selector_simple(out)) return false;
  for (int chained = 0; token_.is('[') || token_.is('.'); ++chained) {
    if (chained + depth_ > limits_.max_depth) {
      return refuse(ErrorCode::too_large, fmt::format("nested deeper than {} levels", limits_.max_depth), token_.at);
    }
    Selector whole;
    whole.at = out.at;
    if (accept('.')) {
      whole.kind = Selector::Kind::field;
      if (!name(whole.name)) return false;
    } else {
      advance();
      whole.kind = Selector::Kind::element;
      if (!term(whole.constant.emplace()) || !expect(']')) return false;
    }
    whole.arguments.push_back(std::move(out));
    out = std::move(whole);
  }
  return true;
}

bool Parser::selector_simple(Selector& out) {
  if (!count_term()) return false;
  out.at = token_.at;
  if (token_.is(Keyword::k_cast) && peek().is('(')) {
    advance();
    advance();
    out.kind = Selector::Kind::cast;
    return selector(out.arguments.emplace_back()) && expect(Keyword::k_as) && type(out.type) && expect(')');
  }
  if (token_.is(Keyword::k_token)) return selector_function(out, "");
  if (!token_.is_name()) {
    out.kind = Selector::Kind::term;
    return simple_term(out.constant.emplace());
  }
  if (peek().is('(')) return selector_function(out, "");
  if (!name(out.name)) return false;
  if (token_.is('.')) {
    // keyspace.function(…), or a column's field
    Lexer ahead = lexer_;
    ahead.next();
    if (ahead.next().is('(')) {
      advance();
      return selector_function(out, std::move(out.name));
    }
  }
  out.kind = Selector::Kind::column;
  return true;
}

bool Parser::selector_function(Selector& out, std::string keyspace) {
  bool count = token_.is(Keyword::k_count);
  out.kind = Selector::Kind::function;
  out.name_keyspace = std::move(keyspace);
  out.name = token_.content();
  advance();
  if (!expect('(')) return false;
  if (count && token_.is('*')) {
    advance();
    out.kind = Selector::Kind::count_all;
    return expect(')');
  }
  if (count && token_.kind == Token::Kind::integer && peek().is(')')) {
    if (token_.text != "1") return syntax_error(fmt::format("Only COUNT(1) is supported, got COUNT({})", token_.text));
    advance();
    out.kind = Selector::Kind::count_all;
    return expect(')');
  }
  if (accept(')')) return true;
  do {
    if (!selector(out.arguments.emplace_back())) return false;
  } while (accept(','));
  return expect(')');
}

}  // namespace asterism::cql
