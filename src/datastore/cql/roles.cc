#include "datastore/cql/roles.h"

#include "datastore/cql/answer.h"
#include "datastore/cql/plan_schema.h"

namespace asterism::cql {
namespace {

constexpr const char* roles_keyspace = "system_auth";

Permission permission_at(size_t i) { return static_cast<Permission>(i); }

Answer<std::string> resource_of(const ResourceName& name, const std::string& session_keyspace) {
  using Kind = ResourceName::Kind;
  switch (name.kind) {
    case Kind::all_keyspaces:
      return std::string(data_resources);
    case Kind::keyspace:
      return keyspace_resource(name.name.name);
    case Kind::all_roles:
      return std::string(role_resources);
    case Kind::role:
      return role_resource(name.name.name);
    case Kind::table:
      break;
  }
  const std::string& keyspace = name.name.keyspace.empty() ? session_keyspace : name.name.keyspace;
  if (keyspace.empty())
    return invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename");
  return table_resource(keyspace, name.name.name);
}

std::string permission_list(PermissionSet permissions) {
  std::string text;
  for (size_t i = 0; i < permission_count; ++i)
    if (permissions.has(permission_at(i)))
      text += fmt::format("{}{}", text.empty() ? "" : ", ", permission_name(permission_at(i)));
  return text;
}

std::map<std::string, std::string> option_map(const Term& term) {
  std::map<std::string, std::string> options;
  for (size_t i = 0; i + 1 < term.items.size(); i += 2) options[term.items[i].text] = term.items[i + 1].text;
  return options;
}

struct Summary {
  const std::string& keyspace;

  std::string operator()(const CreateRole& role) const { return "CREATE ROLE " + named(role.name); }
  std::string operator()(const AlterRole& role) const {
    std::string text = "ALTER ROLE " + named(role.name);
    if (role.options.password) text += " PASSWORD";
    if (role.options.superuser) text += *role.options.superuser ? " SUPERUSER" : " NOSUPERUSER";
    if (role.options.login) text += *role.options.login ? " LOGIN" : " NOLOGIN";
    return text;
  }
  std::string operator()(const DropRole& role) const { return "DROP ROLE " + named(role.name); }
  std::string operator()(const GrantRole& grant) const {
    return fmt::format("{} {} {} {}", verb(grant.revoke), grant.role, towards(grant.revoke), grant.member);
  }
  std::string operator()(const GrantPermissions& grant) const {
    auto resource = resource_of(grant.on, keyspace);
    return fmt::format("{} {} ON {} {} {}", verb(grant.revoke), permission_list(grant.permissions),
                       resource ? resource_name(*resource) : grant.on.name.name, towards(grant.revoke), grant.role);
  }
  std::string operator()(const ListRoles&) const { return "LIST ROLES"; }
  std::string operator()(const ListPermissions&) const { return "LIST PERMISSIONS"; }

 private:
  static std::string named(const std::string& role) { return resource_name(role_resource(role)); }
  static const char* verb(bool revoke) { return revoke ? "REVOKE" : "GRANT"; }
  static const char* towards(bool revoke) { return revoke ? "FROM" : "TO"; }
};

/// A result of rows of texts, booleans and maps of texts.
class Listing {
 public:
  Listing(std::string table, const RoleRequest& request) : table_(std::move(table)), request_(request) {}

  void column(std::string name, wire::WireType type) {
    metadata_.columns.push_back({roles_keyspace, table_, std::move(name), std::move(type)});
  }
  void text_column(std::string name) { column(std::move(name), {.id = wire::TypeId::varchar}); }
  void row(std::vector<Bytes> cells) { rows_.push_back(std::move(cells)); }

  Outcome finish() {
    RowsResult result;
    auto writer = wire::RowsWriter::create(metadata_, request_.version, request_.stream, result.envelope);
    if (!writer) return {to_error(writer.error()), {}};
    for (const auto& cells : rows_)
      for (const Bytes& cell : cells) writer->cell(cell);
    if (auto status = writer->finish(); !status) return {to_error(status.error()), {}};
    result.row_count = rows_.size();
    return {std::move(result), {}};
  }

 private:
  std::string table_;
  const RoleRequest& request_;
  wire::ResultMetadata metadata_;
  std::vector<std::vector<Bytes>> rows_;
};

Bytes boolean(bool value) { return Bytes(1, value ? '\1' : '\0'); }

Bytes text_map(const std::map<std::string, std::string>& values) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u32_be(static_cast<uint32_t>(values.size()));
  for (const auto& [key, value] : values) {
    for (const std::string* part : {&key, &value}) {
      out.u32_be(static_cast<uint32_t>(part->size()));
      out.raw(*part);
    }
  }
  return bytes;
}

}  // namespace

std::string summary(const RoleStatement& statement, const std::string& keyspace) {
  return std::visit(Summary{keyspace}, statement.body);
}

/// One execution. Every operator() checks first, then changes.
class RoleStatements::Run {
 public:
  Run(RoleStatements& of, const RoleRequest& request) : of_(of), access_(of.access_), request_(request) {}

  Task<Answer<Outcome>> operator()(const CreateRole& statement) {
    CO_TRY_STATUS(need(Permission::create, std::string(role_resources)));
    if (statement.options.superuser.value_or(false) && !is_superuser())
      co_return refuse("Only superusers can create a role with superuser status");
    if (access_.role(statement.name) != nullptr) {
      if (statement.if_not_exists) co_return nothing();
      co_return invalid("{} already exists", statement.name);
    }
    Role role;
    role.name = statement.name;
    role.login = statement.options.login.value_or(false);
    role.superuser = statement.options.superuser.value_or(false);
    if (statement.options.options) role.options = option_map(*statement.options.options);
    if (statement.options.password) {
      CO_TRY(role.password, answer(co_await of_.authenticator_.verifier(*statement.options.password)));
    }
    const std::string resource = role_resource(role.name);
    Bytes then;
    if (request_.principal) then = AccessState::permit(request_.principal->role(), resource, permissions_of(resource));
    co_return co_await propose(AccessState::create(role), std::move(then), statement.if_not_exists, false);
  }

  Task<Answer<Outcome>> operator()(const AlterRole& statement) {
    const Role* role = access_.role(statement.name);
    if (role == nullptr && !may(Permission::alter, std::string(role_resources)))
      co_return no(Permission::alter, role_resource(statement.name));
    if (role == nullptr) {
      if (statement.if_exists) co_return nothing();
      co_return invalid("{} doesn't exist", statement.name);
    }
    CO_TRY_STATUS(may_alter(statement));
    RoleChange change;
    change.name = statement.name;
    change.login = statement.options.login;
    change.superuser = statement.options.superuser;
    if (statement.options.options) change.options = option_map(*statement.options.options);
    if (statement.options.password) {
      CO_TRY(change.password, answer(co_await of_.authenticator_.verifier(*statement.options.password)));
    }
    co_return co_await propose(AccessState::alter(change), {}, false, statement.if_exists);
  }

  Task<Answer<Outcome>> operator()(const DropRole& statement) {
    CO_TRY_STATUS(need(Permission::drop, role_resource(statement.name)));
    if (access_.role(statement.name) == nullptr) {
      if (statement.if_exists) co_return nothing();
      co_return invalid("{} doesn't exist", statement.name);
    }
    if (request_.principal && request_.principal->role() == statement.name)
      co_return invalid("Cannot DROP primary role for current login");
    if (access_.rights(statement.name)->superuser && !is_superuser())
      co_return refuse("Only superusers can drop a role with superuser status");
    co_return co_await propose(AccessState::drop(statement.name), {}, false, statement.if_exists);
  }

  Task<Answer<Outcome>> operator()(const GrantRole& statement) {
    CO_TRY_STATUS(need(Permission::authorize, role_resource(statement.role)));
    for (const std::string* name : {&statement.role, &statement.member})
      if (access_.role(*name) == nullptr) co_return invalid("{} doesn't exist", *name);
    if (!statement.revoke && access_.rights(statement.role)->superuser && !is_superuser())
      co_return refuse("Only superusers can grant a role with superuser status");
    co_return co_await propose(statement.revoke ? AccessState::leave(statement.role, statement.member)
                                                : AccessState::join(statement.role, statement.member),
                               {}, false, false);
  }

  Task<Answer<Outcome>> operator()(const GrantPermissions& statement) {
    CO_TRY(const std::string resource, resource_of(statement.on, request_.keyspace));
    if (access_.role(statement.role) == nullptr && may(Permission::authorize, resource))
      co_return invalid("Role {} doesn't exist", statement.role);
    CO_TRY_STATUS(need(Permission::authorize, resource));
    if (!statement.revoke) CO_TRY_STATUS(exists(statement.on, resource));
    const PermissionSet permissions = statement.permissions & permissions_of(resource);
    if (permissions.empty())
      co_return invalid("Resource {} does not support any of the requested permissions", resource_name(resource));
    for (size_t i = 0; i < permission_count; ++i)
      if (permissions.has(permission_at(i))) CO_TRY_STATUS(need(permission_at(i), resource));
    co_return co_await propose(statement.revoke ? AccessState::forbid(statement.role, resource, permissions)
                                                : AccessState::permit(statement.role, resource, permissions),
                               {}, false, false);
  }

  Task<Answer<Outcome>> operator()(const ListRoles& statement) {
    CO_TRY(const std::set<std::string> names, listed(statement));
    Listing listing(statement.users ? "users" : "roles", request_);
    listing.text_column(statement.users ? "name" : "role");
    listing.column("super", {.id = wire::TypeId::boolean});
    if (!statement.users) {
      listing.column("login", {.id = wire::TypeId::boolean});
      const wire::WireType text{.id = wire::TypeId::varchar};
      listing.column("options", {.id = wire::TypeId::map, .parameters = {text, text}});
    }
    listing.text_column("datacenters");
    for (const std::string& name : names) {
      const Role& role = *access_.role(name);
      if (statement.users) {
        if (role.login) listing.row({name, boolean(access_.rights(name)->superuser), "ALL"});
      } else {
        listing.row({name, boolean(role.superuser), boolean(role.login), text_map(role.options), "ALL"});
      }
    }
    co_return listing.finish();
  }

  Task<Answer<Outcome>> operator()(const ListPermissions& statement) {
    std::optional<std::string> resource;
    if (statement.on) {
      CO_TRY(resource, resource_of(*statement.on, request_.keyspace));
      CO_TRY_STATUS(exists(*statement.on, *resource));
    }
    if (statement.of && access_.role(*statement.of) == nullptr) co_return invalid("{} doesn't exist", *statement.of);
    if (!is_superuser() && (!statement.of || !request_.principal->rights().roles.contains(*statement.of)))
      co_return refuse(
          fmt::format("You are not authorized to view {}'s permissions", statement.of.value_or("everyone")));
    Listing listing("permissions", request_);
    for (auto column : {"role", "username", "resource", "permission"}) listing.text_column(column);
    for (const std::string& name : chosen(statement.of, statement.recursive)) {
      for (const auto& [path, permissions] : access_.role(name)->grants) {
        const bool wanted =
            !resource || *resource == path ||
            (statement.recursive && any_of_path(*resource, [&](std::string_view parent) { return parent == path; }));
        for (size_t i = 0; wanted && i < permission_count; ++i)
          if ((permissions & statement.permissions).has(permission_at(i)))
            listing.row({name, name, resource_name(path), Bytes(permission_name(permission_at(i)))});
      }
    }
    co_return listing.finish();
  }

 private:
  static std::unexpected<wire::ErrorResponse> refuse(std::string text) {
    return std::unexpected(unauthorized(std::move(text)));
  }
  std::unexpected<wire::ErrorResponse> no(Permission permission, std::string resource) const {
    return std::unexpected(no_permission(*request_.principal, {permission, std::move(resource)}));
  }
  static Outcome nothing() { return {wire::VoidResult(), {}}; }

  bool is_superuser() const { return request_.principal == nullptr || request_.principal->rights().superuser; }
  bool may(Permission permission, std::string_view resource) const {
    return request_.principal == nullptr || request_.principal->may(permission, resource);
  }
  Answer<void> need(Permission permission, const std::string& resource) const {
    if (may(permission, resource)) return {};
    return no(permission, resource);
  }

  Answer<void> may_alter(const AlterRole& statement) const {
    if (request_.principal == nullptr) return {};
    const Rights& own = request_.principal->rights();
    if (statement.options.superuser && own.roles.contains(statement.name))
      return refuse("You aren't allowed to alter your own superuser status or that of a role granted to you");
    if (statement.options.superuser && !own.superuser)
      return refuse("Only superusers are allowed to alter superuser status");
    if (own.superuser) return {};
    if (request_.principal->role() == statement.name) {
      if (statement.options.login) return refuse("You aren't allowed to alter LOGIN");
      if (statement.options.options) return refuse("You aren't allowed to alter OPTIONS");
      return {};
    }
    if (access_.rights(statement.name)->superuser)
      return refuse("Only superusers can alter a role with superuser status");
    return need(Permission::alter, role_resource(statement.name));
  }

  Answer<void> exists(const ResourceName& name, const std::string& resource) const {
    using Kind = ResourceName::Kind;
    bool there = true;
    if (name.kind == Kind::keyspace) {
      there = of_.catalog_.schema.keyspace(name.name.name) || of_.catalog_.virtual_tables.has_keyspace(name.name.name);
    } else if (name.kind == Kind::table) {
      const std::string& keyspace = name.name.keyspace.empty() ? request_.keyspace : name.name.keyspace;
      there = of_.catalog_.schema.table(keyspace, name.name.name) ||
              of_.catalog_.virtual_tables.find(keyspace, name.name.name) != nullptr;
    } else if (name.kind == Kind::role) {
      there = access_.role(name.name.name) != nullptr;
    }
    if (there) return {};
    return invalid("Resource {} doesn't exist", resource_name(resource));
  }

  Answer<std::set<std::string>> listed(const ListRoles& statement) const {
    if (statement.of && access_.role(*statement.of) == nullptr) return invalid("{} doesn't exist", *statement.of);
    if (may(Permission::describe, role_resources)) return chosen(statement.of, statement.recursive);
    const Principal& self = *request_.principal;
    if (statement.of && !self.rights().roles.contains(*statement.of))
      return refuse(fmt::format("You are not authorized to view roles granted to {} ", *statement.of));
    return chosen(statement.of.value_or(self.role()), statement.recursive);
  }

  /// A role and those granted to it, or all there are.
  std::set<std::string> chosen(const std::optional<std::string>& of, bool recursive) const {
    std::set<std::string> names;
    if (!of) {
      for (const auto& [name, role] : access_.roles()) names.insert(name);
    } else if (const Role* role = access_.role(*of)) {
      names = recursive ? access_.rights(*of)->roles : role->member_of;
      names.insert(*of);
    }
    return names;
  }

  Task<Answer<Outcome>> propose(Bytes command, Bytes then, bool exists_is_fine, bool missing_is_fine) {
    const char* section = AccessState::section_name;
    Bytes record = then.empty() ? MetadataState::encode_record(section, command)
                                : MetadataState::encode_records(section, command, section, then);
    auto applied = co_await of_.changes_.propose(std::move(record), request_.deadline);
    if (applied) co_return nothing();
    const ErrorCode code = applied.error().code;
    // Another node may have been first.
    if ((code == ErrorCode::already_exists && exists_is_fine) || (code == ErrorCode::not_found && missing_is_fine))
      co_return nothing();
    co_return std::unexpected(to_error(applied.error()));
  }

  RoleStatements& of_;
  const AccessState& access_;
  const RoleRequest& request_;
};

Task<Outcome> RoleStatements::execute(const RoleStatement& statement, RoleRequest request) {
  if (request.principal && !request.principal->rights().login)
    co_return Outcome{unauthorized(fmt::format("User {} may not log in any more", request.principal->role())), {}};
  Run run(*this, request);
  auto outcome = co_await std::visit([&](const auto& body) { return run(body); }, statement.body);
  const bool lists =
      std::holds_alternative<ListRoles>(statement.body) || std::holds_alternative<ListPermissions>(statement.body);
  if (!lists)
    authenticator_.audit().change(
        request.principal ? request.principal->role() : "", request.from, summary(statement, request.keyspace),
        outcome ? Status() : Status(fail(ErrorCode::internal, "{}", outcome.error().message)));
  if (!outcome) co_return Outcome{std::move(outcome.error()), {}};
  co_return std::move(*outcome);
}

void audit_schema_change(const Audit& audit, const Principal* principal, const Address& from, const Plan& plan,
                         const Outcome& outcome) {
  const auto* schema = std::get_if<std::shared_ptr<const SchemaPlan>>(&plan.body);
  if (schema == nullptr) return;
  const auto* error = std::get_if<wire::ErrorResponse>(&outcome.body);
  audit.change(principal ? principal->role() : "", from, summary(**schema),
               error ? Status(fail(ErrorCode::internal, "{}", error->message)) : Status());
}

}  // namespace asterism::cql
