#include "datastore/cql/parser_impl.h"

namespace asterism::cql {

/// Roles' names are folded like others; users' are taken as written, as Cassandra does.
bool Parser::role_name(std::string& out, bool user) {
  if (token_.kind == Token::Kind::string) {
    out = token_.content();
  } else if (token_.kind == Token::Kind::question) {
    return syntax_error("Bind variables cannot be used for role names");
  } else if (!token_.is_name()) {
    return no_alternative();
  } else if (user && token_.kind == Token::Kind::quoted) {
    return syntax_error("Quoted strings are not supported for user names and USER is deprecated, please use ROLE");
  } else {
    out = user ? std::string(token_.text) : token_.content();
  }
  advance();
  return count_term();
}

bool Parser::create_role(CreateRole& out, bool user) {
  if (!if_not_exists(out.if_not_exists) || !role_name(out.name, user)) return false;
  if (!user) return !accept(Keyword::k_with) || role_options(out.options);
  out.options.login = true;
  return user_options(out.options);
}

bool Parser::alter_role(AlterRole& out, bool user) {
  if (!if_exists(out.if_exists) || !role_name(out.name, user)) return false;
  if (user) return user_options(out.options);
  return !accept(Keyword::k_with) || role_options(out.options);
}

bool Parser::drop_role(DropRole& out, bool user) { return if_exists(out.if_exists) && role_name(out.name, user); }

bool Parser::password(std::optional<std::string>& out) {
  if (out) return syntax_error("Multiple definition for property 'password'");
  if (token_.kind != Token::Kind::string) return mismatched("STRING_LITERAL");
  out = token_.content();
  advance();
  return true;
}

bool Parser::flag(std::optional<bool>& out) {
  if (out) return syntax_error("Multiple definition for one property");
  const bool yes = token_.is(Keyword::k_true);
  if (!yes && !token_.is(Keyword::k_false)) return mismatched("BOOLEAN");
  out = yes;
  advance();
  return true;
}

/// [WITH PASSWORD 'text'] [SUPERUSER | NOSUPERUSER]
bool Parser::user_options(RoleOptions& out) {
  if (accept(Keyword::k_with)) {
    if (token_.is(Keyword::k_hashed)) return syntax_error("HASHED PASSWORD is not supported");
    if (!expect(Keyword::k_password) || !password(out.password)) return false;
  }
  if (accept(Keyword::k_superuser)) {
    out.superuser = true;
  } else if (accept(Keyword::k_nosuperuser)) {
    out.superuser = false;
  }
  return true;
}

bool Parser::role_options(RoleOptions& out) {
  do {
    if (!role_option(out) || !count_term()) return false;
  } while (accept(Keyword::k_and));
  return true;
}

bool Parser::role_option(RoleOptions& out) {
  if (token_.is(Keyword::k_hashed)) return syntax_error("HASHED PASSWORD is not supported");
  if (accept(Keyword::k_password)) return expect('=') && password(out.password);
  if (accept(Keyword::k_superuser)) return expect('=') && flag(out.superuser);
  if (accept(Keyword::k_login)) return expect('=') && flag(out.login);
  if (accept(Keyword::k_options)) {
    if (out.options) return syntax_error("Multiple definition for property 'options'");
    return expect('=') && option_map(out.options.emplace());
  }
  // ACCESS TO ALL DATACENTERS is what every role has.
  if (accept(Keyword::k_access))
    return expect(Keyword::k_to) && expect(Keyword::k_all) && expect(Keyword::k_datacenters);
  return no_alternative();
}

bool Parser::is_permission() const {
  if (token_.is(Keyword::k_all)) {
    const Token after = peek();
    return after.is(Keyword::k_permissions) || after.is(Keyword::k_on);
  }
  switch (token_.keyword) {
    case Keyword::k_create:
    case Keyword::k_alter:
    case Keyword::k_drop:
    case Keyword::k_select:
    case Keyword::k_modify:
    case Keyword::k_authorize:
    case Keyword::k_describe:
    case Keyword::k_execute:
      return true;
    default:
      return false;
  }
}

/// ALL [PERMISSIONS] | permission [PERMISSION] { , permission [PERMISSION] }
bool Parser::permissions(PermissionSet& out) {
  if (accept(Keyword::k_all)) {
    accept(Keyword::k_permissions);
    out = PermissionSet::from_bits((1u << permission_count) - 1);
    return true;
  }
  static constexpr std::pair<Keyword, Permission> words[] = {
      {Keyword::k_create, Permission::create},     {Keyword::k_alter, Permission::alter},
      {Keyword::k_drop, Permission::drop},         {Keyword::k_select, Permission::read},
      {Keyword::k_modify, Permission::write},      {Keyword::k_authorize, Permission::authorize},
      {Keyword::k_describe, Permission::describe}, {Keyword::k_execute, Permission::execute},
  };
  do {
    const auto* word = std::begin(words);
    while (word != std::end(words) && !token_.is(word->first)) ++word;
    if (word == std::end(words)) return no_alternative();
    out.add(word->second);
    advance();
    accept(Keyword::k_permission);
    if (!count_term()) return false;
  } while (accept(','));
  return true;
}

bool Parser::resource(ResourceName& out) {
  using Kind = ResourceName::Kind;
  const Token after = peek();
  if (token_.is(Keyword::k_all) && (after.is(Keyword::k_keyspaces) || after.is(Keyword::k_roles))) {
    out.kind = after.is(Keyword::k_keyspaces) ? Kind::all_keyspaces : Kind::all_roles;
    advance();
    advance();
    return true;
  }
  if (accept(Keyword::k_keyspace)) {
    out.kind = Kind::keyspace;
    return name(out.name.name);
  }
  // A table may be called role.
  const bool names_role = after.is_name() || after.kind == Token::Kind::string;
  if (token_.is(Keyword::k_role) && names_role && !after.is(Keyword::k_from)) {
    advance();
    out.kind = Kind::role;
    return role_name(out.name.name);
  }
  out.kind = Kind::table;
  accept(Keyword::k_table) || accept(Keyword::k_columnfamily);
  return qualified(out.name);
}

/// GRANT permissions ON resource TO role, GRANT role TO role, and REVOKE … FROM.
bool Parser::grant(Statement& out, bool revoke) {
  advance();
  const Keyword towards = revoke ? Keyword::k_from : Keyword::k_to;
  if (is_permission()) {
    GrantPermissions body;
    body.revoke = revoke;
    const bool ok = permissions(body.permissions) && expect(Keyword::k_on) && resource(body.on) && expect(towards) &&
                    role_name(body.role);
    out.body = RoleStatement{std::move(body)};
    return ok;
  }
  GrantRole body;
  body.revoke = revoke;
  const bool ok = role_name(body.role) && expect(towards) && role_name(body.member);
  out.body = RoleStatement{std::move(body)};
  return ok;
}

bool Parser::list(Statement& out) {
  advance();
  if (token_.is(Keyword::k_roles) || token_.is(Keyword::k_users)) {
    ListRoles body;
    const bool ok = list_roles(body);
    out.body = RoleStatement{std::move(body)};
    return ok;
  }
  ListPermissions body;
  const bool ok = list_permissions(body);
  out.body = RoleStatement{std::move(body)};
  return ok;
}

bool Parser::list_roles(ListRoles& out) {
  out.users = token_.is(Keyword::k_users);
  advance();
  if (out.users) return true;
  if (accept(Keyword::k_of) && !role_name(out.of.emplace())) return false;
  out.recursive = !accept(Keyword::k_norecursive);
  return true;
}

bool Parser::list_permissions(ListPermissions& out) {
  if (!permissions(out.permissions)) return false;
  if (accept(Keyword::k_on) && !resource(out.on.emplace())) return false;
  if (accept(Keyword::k_of) && !role_name(out.of.emplace())) return false;
  out.recursive = !accept(Keyword::k_norecursive);
  return true;
}

}  // namespace asterism::cql
