#include "datastore/cql/parser_impl.h"

namespace asterism::cql {

bool Parser::create(Statement& out) {
  advance();
  if (accept(Keyword::k_keyspace) || accept(Keyword::k_schema)) {
    CreateKeyspace body;
    bool ok = create_keyspace(body);
    out.body = std::move(body);
    return ok;
  }
  if (accept(Keyword::k_table) || accept(Keyword::k_columnfamily)) {
    CreateTable body;
    bool ok = create_table(body);
    out.body = std::move(body);
    return ok;
  }
  if (token_.is(Keyword::k_role) || token_.is(Keyword::k_user)) {
    const bool user = token_.is(Keyword::k_user);
    advance();
    CreateRole body;
    bool ok = create_role(body, user);
    out.body = RoleStatement{std::move(body)};
    return ok;
  }
  return unsupported("CREATE", out);
}

bool Parser::alter(Statement& out) {
  advance();
  if (accept(Keyword::k_keyspace) || accept(Keyword::k_schema)) {
    AlterKeyspace body;
    bool ok = alter_keyspace(body);
    out.body = std::move(body);
    return ok;
  }
  if (accept(Keyword::k_table) || accept(Keyword::k_columnfamily)) {
    AlterTable body;
    bool ok = alter_table(body);
    out.body = std::move(body);
    return ok;
  }
  if (token_.is(Keyword::k_role) || token_.is(Keyword::k_user)) {
    const bool user = token_.is(Keyword::k_user);
    advance();
    AlterRole body;
    bool ok = alter_role(body, user);
    out.body = RoleStatement{std::move(body)};
    return ok;
  }
  return unsupported("ALTER", out);
}

bool Parser::drop(Statement& out) {
  advance();
  if (accept(Keyword::k_keyspace) || accept(Keyword::k_schema)) {
    DropKeyspace body;
    bool ok = if_exists(body.if_exists) && name(body.name);
    out.body = std::move(body);
    return ok;
  }
  if (accept(Keyword::k_table) || accept(Keyword::k_columnfamily)) {
    DropTable body;
    bool ok = if_exists(body.if_exists) && qualified(body.table);
    out.body = std::move(body);
    return ok;
  }
  if (token_.is(Keyword::k_role) || token_.is(Keyword::k_user)) {
    const bool user = token_.is(Keyword::k_user);
    advance();
    DropRole body;
    bool ok = drop_role(body, user);
    out.body = RoleStatement{std::move(body)};
    return ok;
  }
  return unsupported("DROP", out);
}

bool Parser::create_keyspace(CreateKeyspace& out) {
  return if_not_exists(out.if_not_exists) && name(out.name) && expect(Keyword::k_with) && options(out.options);
}

bool Parser::alter_keyspace(AlterKeyspace& out) {
  return if_exists(out.if_exists) && name(out.name) && expect(Keyword::k_with) && options(out.options);
}

bool Parser::options(Options& out) {
  do {
    if (!option(out)) return false;
  } while (accept(Keyword::k_and));
  return true;
}

bool Parser::option(Options& out) {
  std::string key;
  if (!name(key)) return false;
  for (const auto& [earlier, value] : out) {
    if (earlier == key) return syntax_error(fmt::format("Multiple definition for property '{}'", key));
  }
  if (!expect('=')) return false;
  Term value;
  value.at = token_.at;
  if (token_.is('{')) {
    if (!option_map(value)) return false;
  } else if (is_constant() && !token_.is(Keyword::k_null)) {
    if (!constant(value)) return false;
  } else if (token_.is('-')) {
    if (!negative(value)) return false;
  } else if (token_.kind == Token::Kind::word && is_unreserved(token_.keyword)) {
    value.kind = Term::Kind::string;
    value.text = token_.content();
    advance();
  } else {
    return no_alternative();
  }
  out.emplace_back(std::move(key), std::move(value));
  return count_term();
}

/// { constant: constant-or-map, … }
bool Parser::option_map(Term& out) {
  Nested nested(*this);
  if (nested.too_deep() || !expect('{')) return false;
  out.kind = Term::Kind::map;
  if (accept('}')) return true;
  do {
    for (int part = 0; part < 2; ++part) {
      if (part == 1 && !expect(':')) return false;
      Term& item = out.items.emplace_back();
      item.at = token_.at;
      if (!count_term()) return false;
      if (token_.kind == Token::Kind::question || (part == 0 && token_.is(':'))) {
        return syntax_error("Invalid property value: ? (bind variables are not supported in DDL queries)");
      }
      if (part == 1 && token_.is('{')) {
        if (!option_map(item)) return false;
      } else if (token_.is('-')) {
        if (!negative(item)) return false;
      } else if (!is_constant() || !constant(item)) {
        return no_alternative();
      }
    }
  } while (accept(','));
  return expect('}');
}

bool Parser::create_table(CreateTable& out) {
  if (!if_not_exists(out.if_not_exists) || !qualified(out.table) || !expect('(')) return false;
  do {
    if (!table_element(out)) return false;
  } while (accept(','));
  if (!expect(')')) return false;
  if (!accept(Keyword::k_with)) return true;
  do {
    if (!table_property(out)) return false;
  } while (accept(Keyword::k_and));
  return true;
}

bool Parser::column_definition(ColumnDefinition& out) {
  out.at = token_.at;
  if (!name(out.name) || !type(out.type)) return false;
  out.is_static = accept(Keyword::k_static);
  return true;
}

bool Parser::table_element(CreateTable& out) {
  if (token_.is(Keyword::k_primary)) return primary_key(out);
  ColumnDefinition& column = out.columns.emplace_back();
  if (!column_definition(column)) return false;
  if (!accept(Keyword::k_primary)) return true;
  ++out.primary_keys;
  out.partition_key.push_back(column.name);
  return expect(Keyword::k_key);
}

bool Parser::primary_key(CreateTable& out) {
  advance();
  ++out.primary_keys;
  if (!expect(Keyword::k_key) || !expect('(')) return false;
  if (token_.is('(')) {
    if (!names(out.partition_key)) return false;
  } else if (!name(out.partition_key.emplace_back())) {
    return false;
  }
  while (accept(',')) {
    if (!name(out.clustering_key.emplace_back())) return false;
  }
  return expect(')');
}

bool Parser::table_property(CreateTable& out) {
  Token after = peek();
  if (token_.is(Keyword::k_compact) && after.is(Keyword::k_storage)) {
    advance();
    advance();
    out.compact_storage = true;
    return true;
  }
  if (!token_.is(Keyword::k_clustering) || !after.is(Keyword::k_order)) return option(out.options);
  advance();
  advance();
  if (!expect(Keyword::k_by) || !expect('(')) return false;
  do {
    ClusteringOrder& order = out.clustering_order.emplace_back();
    if (!name(order.column)) return false;
    order.descending = accept(Keyword::k_desc);
    if (!order.descending && !accept(Keyword::k_asc)) return no_alternative();
  } while (accept(','));
  return expect(')');
}

bool Parser::alter_table(AlterTable& out) {
  if (!if_exists(out.if_exists) || !qualified(out.table)) return false;
  if (accept(Keyword::k_add)) return alter_table_add(out);
  if (accept(Keyword::k_drop)) return alter_table_drop(out);
  if (accept(Keyword::k_rename)) return alter_table_rename(out);
  if (accept(Keyword::k_with)) {
    out.action = AlterTable::Action::with;
    return options(out.options);
  }
  if (accept(Keyword::k_alter)) {
    out.action = AlterTable::Action::alter_type;
    ColumnDefinition& column = out.add.emplace_back();
    column.at = token_.at;
    return name(column.name) && expect(Keyword::k_type) && type(column.type);
  }
  return no_alternative();
}

bool Parser::alter_table_add(AlterTable& out) {
  if (!if_not_exists(out.column_if_exists)) return false;
  bool enclosed = accept('(');
  do {
    if (!column_definition(out.add.emplace_back())) return false;
  } while (accept(','));
  return !enclosed || expect(')');
}

bool Parser::alter_table_drop(AlterTable& out) {
  if (token_.is(Keyword::k_compact) && peek().is(Keyword::k_storage)) {
    advance();
    advance();
    out.action = AlterTable::Action::drop_compact_storage;
    return true;
  }
  out.action = AlterTable::Action::drop;
  if (!if_exists(out.column_if_exists)) return false;
  bool enclosed = accept('(');
  do {
    if (!name(out.drop.emplace_back())) return false;
  } while (accept(','));
  if (enclosed && !expect(')')) return false;
  if (!accept(Keyword::k_using)) return true;
  if (!expect(Keyword::k_timestamp)) return false;
  if (token_.kind != Token::Kind::integer) return mismatched("INTEGER");
  return integer_or_marker(out.drop_timestamp);
}

bool Parser::alter_table_rename(AlterTable& out) {
  out.action = AlterTable::Action::rename;
  if (!if_exists(out.column_if_exists)) return false;
  do {
    auto& [from, to] = out.rename.emplace_back();
    if (!name(from) || !expect(Keyword::k_to) || !name(to)) return false;
  } while (accept(Keyword::k_and));
  return true;
}

/// Names the statement by the words after the verb and its object by the first name after IF [NOT] EXISTS.
bool Parser::unsupported(std::string_view verb, Statement& out) {
  Unsupported body;
  body.what = verb;
  bool schema = verb == "CREATE" || verb == "ALTER" || verb == "DROP";
  if (schema) {
    if (accept(Keyword::k_or) && !expect(Keyword::k_replace)) return false;
    accept(Keyword::k_custom);
    if (accept(Keyword::k_materialized)) {
      if (!token_.is(Keyword::k_view)) return mismatched("K_VIEW");
      body.what += " MATERIALIZED";
    }
    switch (token_.keyword) {
      case Keyword::k_type:
      case Keyword::k_index:
      case Keyword::k_view:
      case Keyword::k_function:
      case Keyword::k_aggregate:
      case Keyword::k_trigger:
      case Keyword::k_identity:
        body.what += " " + token_name(token_.keyword).substr(2);
        break;
      default:
        return no_alternative();
    }
    advance();
    bool condition = false;
    if (token_.is(Keyword::k_if) && !(verb == "CREATE" ? if_not_exists(condition) : if_exists(condition))) return false;
    if (token_.kind == Token::Kind::string) {
      body.name = {"", token_.content(), token_.at};
    } else if (token_.is_name() && !qualified(body.name)) {
      return false;
    } else if (!token_.is_name() && body.name.name.empty() && !token_.is(Keyword::k_on)) {
      return no_alternative();
    }
  } else if (token_.kind == Token::Kind::end) {
    return no_alternative();
  } else if (verb == "ADD") {
    body.what += token_.kind == Token::Kind::word && token_.keyword != Keyword::none
                     ? " " + token_name(token_.keyword).substr(2)
                     : "";
  }
  out.body = std::move(body);
  return skip_rest();
}

bool Parser::skip_rest() {
  while (token_.kind != Token::Kind::end) {
    if (token_.kind == Token::Kind::bad) return no_alternative();
    advance();
  }
  return true;
}

bool Parser::describe(Describe& out) {
  using Kind = Describe::Kind;
  advance();
  struct Form {
    Keyword keyword;
    Kind kind;
    bool named;
  };
  static constexpr Form forms[] = {
      {Keyword::k_cluster, Kind::cluster, false},
      {Keyword::k_schema, Kind::schema, false},
      {Keyword::k_keyspaces, Kind::keyspaces, false},
      {Keyword::k_tables, Kind::tables, false},
      {Keyword::k_columnfamilies, Kind::tables, false},
      {Keyword::k_types, Kind::types, false},
      {Keyword::k_functions, Kind::functions, false},
      {Keyword::k_aggregates, Kind::aggregates, false},
      {Keyword::k_table, Kind::table, true},
      {Keyword::k_columnfamily, Kind::table, true},
      {Keyword::k_index, Kind::index, true},
      {Keyword::k_type, Kind::type, true},
      {Keyword::k_function, Kind::function, true},
      {Keyword::k_aggregate, Kind::aggregate, true},
  };
  bool named = true;
  if (accept(Keyword::k_full)) {
    out.full = true;
    if (!token_.is(Keyword::k_schema)) return mismatched("K_SCHEMA");
  }
  if (token_.is(Keyword::k_only) && peek().is(Keyword::k_keyspace)) {
    out.only = true;
    advance();
  }
  if (accept(Keyword::k_keyspace)) {
    out.kind = Kind::keyspace;
    out.name.at = token_.at;
    if (token_.is_name() && !name(out.name.name)) return false;
    named = false;
  } else if (accept(Keyword::k_materialized)) {
    out.kind = Kind::materialized_view;
    if (!expect(Keyword::k_view)) return false;
  } else {
    for (const Form& form : forms) {
      if (!token_.is(form.keyword)) continue;
      // A word that is also a name is one where a point follows: DESCRIBE tables.t
      if (is_unreserved(form.keyword) && peek().is('.')) break;
      out.kind = form.kind;
      named = form.named;
      advance();
      break;
    }
  }
  if (named && !qualified(out.name)) return false;
  if (!accept(Keyword::k_with)) return true;
  out.internals = true;
  return expect(Keyword::k_internals);
}

}  // namespace asterism::cql
