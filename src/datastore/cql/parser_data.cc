#include "datastore/cql/parser_impl.h"

namespace asterism::cql {

bool Parser::using_clause(Using& out, bool with_ttl) {
  if (!accept(Keyword::k_using)) return true;
  do {
    bool ttl = with_ttl && token_.is(Keyword::k_ttl);
    if (!ttl && !token_.is(Keyword::k_timestamp)) return no_alternative();
    std::optional<Term>& slot = ttl ? out.ttl : out.timestamp;
    if (slot) return syntax_error(fmt::format("Multiple definition of {}", ttl ? "TTL" : "TIMESTAMP"));
    advance();
    if (!integer_or_marker(slot)) return false;
  } while (accept(Keyword::k_and));
  return true;
}

bool Parser::insert(Insert& out) {
  advance();
  if (!expect(Keyword::k_into) || !qualified(out.table)) return false;
  if (accept(Keyword::k_json)) {
    if (!insert_json(out)) return false;
  } else {
    if (!names(out.columns) || !expect(Keyword::k_values) || !expect('(')) return false;
    out.values.reserve(out.columns.size());
    if (token_.is(')')) return no_alternative();
    if (!term_list(out.values, ')')) return false;
  }
  return if_not_exists(out.if_not_exists) && using_clause(out.using_, true);
}

bool Parser::insert_json(Insert& out) {
  Term& value = out.json.emplace();
  value.at = token_.at;
  if (token_.kind == Token::Kind::string || token_.kind == Token::Kind::dollars) {
    if (!constant(value)) return false;
  } else if (token_.kind == Token::Kind::question || token_.is(':')) {
    if (!marker(value)) return false;
  } else {
    return no_alternative();
  }
  if (!accept(Keyword::k_default)) return true;
  if (accept(Keyword::k_null)) return true;
  out.json_default_unset = true;
  return expect(Keyword::k_unset);
}

bool Parser::update(Update& out) {
  advance();
  if (!qualified(out.table) || !using_clause(out.using_, true) || !expect(Keyword::k_set)) return false;
  do {
    if (!assignment(out.assignments.emplace_back())) return false;
  } while (accept(','));
  if (!token_.is(Keyword::k_where)) return mismatched("K_WHERE");
  return where(out.where) && conditions(out.if_exists, out.conditions);
}

bool Parser::assignment(Assignment& out) {
  out.at = token_.at;
  if (!name(out.column)) return false;
  if (accept('[')) {
    out.kind = Assignment::Kind::element;
    return term(out.key.emplace()) && expect(']') && expect('=') && term(out.value);
  }
  if (accept('.')) {
    out.kind = Assignment::Kind::field;
    return name(out.field) && expect('=') && term(out.value);
  }
  if (token_.kind == Token::Kind::add_assign || token_.kind == Token::Kind::sub_assign) {
    out.kind = token_.kind == Token::Kind::add_assign ? Assignment::Kind::append : Assignment::Kind::remove;
    advance();
    return term(out.value);
  }
  return expect('=') && assigned_value(out);
}

/// term, column + term, column - term or term + column
bool Parser::assigned_value(Assignment& out) {
  Token after = peek();
  if (token_.is_name() && (after.is('+') || after.is('-'))) {
    if (token_.content() != out.column) {
      return syntax_error(fmt::format("Only expressions of the form X = X {} <value> are supported.", after.symbol));
    }
    advance();
    out.kind = accept('+') ? Assignment::Kind::append : Assignment::Kind::remove;
    if (out.kind == Assignment::Kind::remove) advance();
    return term(out.value);
  }
  if (!term(out.value)) return false;
  if (!token_.is('+')) return true;
  advance();
  if (!token_.is_name() || token_.content() != out.column) {
    return syntax_error("Only expressions of the form X = <value> + X are supported.");
  }
  advance();
  out.kind = Assignment::Kind::prepend;
  return true;
}

bool Parser::remove(Delete& out) {
  advance();
  while (!token_.is(Keyword::k_from)) {
    Deletion& deletion = out.deletions.emplace_back();
    deletion.at = token_.at;
    if (!name(deletion.column)) return false;
    if (accept('[')) {
      if (!term(deletion.key.emplace()) || !expect(']')) return false;
    } else if (accept('.')) {
      if (!name(deletion.field)) return false;
    }
    if (!accept(',')) break;
    if (token_.is(Keyword::k_from)) return no_alternative();
  }
  if (!expect(Keyword::k_from) || !qualified(out.table) || !using_clause(out.using_, false)) return false;
  if (!token_.is(Keyword::k_where)) return mismatched("K_WHERE");
  return where(out.where) && conditions(out.if_exists, out.conditions);
}

bool Parser::batch(Batch& out) {
  advance();
  if (accept(Keyword::k_unlogged)) {
    out.kind = Batch::Kind::unlogged;
  } else if (accept(Keyword::k_counter)) {
    out.kind = Batch::Kind::counter;
  }
  if (!expect(Keyword::k_batch) || !using_clause(out.using_, true)) return false;
  auto one = [&]<class Body>(Body body, bool (Parser::*production)(Body&)) {
    if (!(this->*production)(body)) return false;
    out.statements.emplace_back(std::move(body));
    return true;
  };
  while (!token_.is(Keyword::k_apply)) {
    bool ok = false;
    if (token_.is(Keyword::k_insert)) {
      ok = one(Insert(), &Parser::insert);
    } else if (token_.is(Keyword::k_update)) {
      ok = one(Update(), &Parser::update);
    } else if (token_.is(Keyword::k_delete)) {
      ok = one(Delete(), &Parser::remove);
    } else {
      return mismatched("K_APPLY");
    }
    if (!ok) return false;
    accept(';');
  }
  advance();
  return expect(Keyword::k_batch);
}

bool Parser::where(std::vector<Relation>& out) {
  advance();
  do {
    if (!relation(out)) return false;
  } while (accept(Keyword::k_and));
  return true;
}

bool Parser::conditions(bool& exists, std::vector<Condition>& out) {
  if (!accept(Keyword::k_if)) return true;
  if (token_.is(Keyword::k_exists)) {
    Token after = peek();
    if (after.kind == Token::Kind::end || after.is(';') || after.kind == Token::Kind::word) {
      advance();
      exists = true;
      return true;
    }
  }
  do {
    if (!column_relation(out)) return false;
  } while (accept(Keyword::k_and));
  return true;
}

bool Parser::relation(std::vector<Relation>& out) {
  Nested nested(*this);
  if (nested.too_deep() || !count_term()) return false;
  if (token_.is(Keyword::k_token)) {
    Relation relation;
    relation.target = Relation::Target::token;
    relation.at = token_.at;
    advance();
    if (!names(relation.columns)) return false;
    if (token_.is(Keyword::k_between)) return between(out, std::move(relation));
    if (!comparison(relation.op) || !term(relation.values.emplace_back())) return false;
    out.push_back(std::move(relation));
    return true;
  }
  if (!token_.is('(')) return column_relation(out);
  Lexer ahead = lexer_;
  Token first = ahead.next();
  Token second = ahead.next();
  if (first.is_name() && (second.is(',') || second.is(')'))) return tuple_relation(out);
  advance();
  return relation(out) && expect(')');
}

bool Parser::column_relation(std::vector<Relation>& out) {
  Relation relation;
  relation.at = token_.at;
  if (!name(relation.columns.emplace_back())) return false;
  if (accept('[')) {
    relation.target = Relation::Target::element;
    if (!term(relation.key.emplace()) || !expect(']')) return false;
  }
  return relation_end(out, std::move(relation));
}

bool Parser::relation_end(std::vector<Relation>& out, Relation relation) {
  if (token_.is(Keyword::k_between)) return between(out, std::move(relation));
  if (accept(Keyword::k_in)) {
    relation.op = Operator::in;
    if (!in_values(relation)) return false;
  } else if (accept(Keyword::k_is)) {
    relation.op = Operator::is_not_null;
    if (!expect(Keyword::k_not) || !expect(Keyword::k_null)) return false;
  } else {
    if (accept(Keyword::k_contains)) {
      relation.op = accept(Keyword::k_key) ? Operator::contains_key : Operator::contains;
    } else if (accept(Keyword::k_like)) {
      relation.op = Operator::like;
    } else if (!comparison(relation.op)) {
      return false;
    }
    if (!term(relation.values.emplace_back())) return false;
  }
  out.push_back(std::move(relation));
  return true;
}

/// x BETWEEN a AND b is x >= a AND x <= b.
bool Parser::between(std::vector<Relation>& out, Relation relation) {
  advance();
  Relation upper = relation;
  relation.op = Operator::greater_equal;
  upper.op = Operator::less_equal;
  if (!term(relation.values.emplace_back()) || !expect(Keyword::k_and)) return false;
  if (!term(upper.values.emplace_back())) return false;
  out.push_back(std::move(relation));
  out.push_back(std::move(upper));
  return true;
}

bool Parser::tuple_relation(std::vector<Relation>& out) {
  Relation relation;
  relation.at = token_.at;
  relation.target = Relation::Target::tuple;
  if (!names(relation.columns)) return false;
  if (token_.is(Keyword::k_between)) return between(out, std::move(relation));
  if (accept(Keyword::k_in)) {
    relation.op = Operator::in;
    if (!in_values(relation)) return false;
  } else {
    if (!comparison(relation.op)) return false;
    if (!token_.is('(') && token_.kind != Token::Kind::question && !token_.is(':')) return no_alternative();
    if (!term(relation.values.emplace_back())) return false;
  }
  out.push_back(std::move(relation));
  return true;
}

bool Parser::in_values(Relation& out) {
  if (token_.kind == Token::Kind::question || token_.is(':')) {
    out.in_marker = true;
    return marker(out.values.emplace_back());
  }
  return expect('(') && term_list(out.values, ')');
}

bool Parser::comparison(Operator& out) {
  switch (token_.kind) {
    case Token::Kind::less_equal:
      out = Operator::less_equal;
      break;
    case Token::Kind::greater_equal:
      out = Operator::greater_equal;
      break;
    case Token::Kind::not_equal:
      out = Operator::not_equal;
      break;
    default:
      if (token_.is('=')) {
        out = Operator::equal;
      } else if (token_.is('<')) {
        out = Operator::less;
      } else if (token_.is('>')) {
        out = Operator::greater;
      } else {
        return no_alternative();
      }
  }
  advance();
  return true;
}

}  // namespace asterism::cql
