// Users and what they may do, as the metadata log has them: the one model that every protocol maps to.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "cluster/metadata_log.h"
#include "gateway/join_token.h"
#include "gateway/permission.h"
#include "gateway/scram.h"

namespace asterism {

/// A user or a group of users. Members of a role may do whatever it may.
struct Role {
  std::string name;
  bool login = false;
  bool superuser = false;  // may do everything
  std::optional<PasswordVerifier> password;
  std::map<std::string, std::string> options;  // for others to read, but for requests_per_second (request_limits.h)
  std::set<std::string> member_of;
  std::map<std::string, PermissionSet> grants;  // by resource
};

inline constexpr const char* requests_per_second_option = "requests_per_second";
/// 1 to 1,000,000,000; nothing for anything else.
std::optional<uint32_t> parse_requests_per_second(std::string_view text);

/// What a role may do with everything that it is a member of. Immutable.
struct Rights {
  bool exists = false, login = false, superuser = false;
  std::set<std::string> roles;  // itself and what it is a member of, over any number of steps

  bool allow(Permission permission, std::string_view resource) const;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, PermissionSet, Hash, std::equal_to<>> grants;
};
using RightsPtr = std::shared_ptr<const Rights>;

struct RoleChange {
  std::string name;
  std::optional<bool> login = {}, superuser = {};
  std::optional<PasswordVerifier> password = {};
  std::optional<std::map<std::string, std::string>> options = {};
};

/// Section "access". Deterministic; read freely by everybody on the core.
class AccessState final : public MetadataSection {
 public:
  static constexpr const char* section_name = "access";
  static constexpr size_t roles_max = 10'000;
  static constexpr size_t grants_max = 10'000;  // of one role

  Result<Bytes> apply(uint64_t index, BytesView command) override;
  Bytes snapshot() const override;
  Status restore(BytesView snapshot) override;

  const std::map<std::string, Role, std::less<>>& roles() const { return roles_; }
  /// Null where there is none.
  const Role* role(std::string_view name) const;
  /// Of a role that does not exist: none. Kept until the next change, so that asking again costs a lookup.
  RightsPtr rights(std::string_view role) const;
  /// Changes whenever anything here changes.
  uint64_t version() const { return version_; }
  /// Whether somebody can log in who may do everything.
  bool has_superuser() const;
  const JoinTokens& tokens() const { return tokens_; }

  // Encoded commands for MetadataService::propose. Outcomes: already_exists, not_found, invalid_argument, too_large.
  static Bytes create(const Role& role);
  static Bytes alter(const RoleChange& change);
  /// Its memberships, and all grants on it, go with it.
  static Bytes drop(const std::string& name);
  static Bytes join(const std::string& role, const std::string& member);
  static Bytes leave(const std::string& role, const std::string& member);
  static Bytes permit(const std::string& role, const std::string& resource, PermissionSet permissions);
  static Bytes forbid(const std::string& role, const std::string& resource, PermissionSet permissions);
  /// Drops all grants on a resource that is gone, and on everything below it.
  static Bytes forget(const std::string& resource);
  /// Creates the role unless a superuser exists that can log in: then already_exists.
  static Bytes found(const Role& role);

 private:
  Status change(BytesView command);
  Status create_now(Role role);
  Status found_now(Role role);
  Status alter_now(const RoleChange& change);
  Status drop_now(const std::string& name);
  Status join_now(const std::string& role, const std::string& member);
  Status leave_now(const std::string& role, const std::string& member);
  Result<Role*> find(const std::string& name);
  void forget_now(const std::string& resource);

  std::map<std::string, Role, std::less<>> roles_;
  JoinTokens tokens_;
  uint64_t version_ = 1;
  mutable std::map<std::string, RightsPtr, std::less<>> rights_;  // of this version
};

/// Somebody who logged in, as a connection holds it: always asks the latest rights. The state must outlive it.
class Principal {
 public:
  Principal(const AccessState& state, std::string role) : state_(&state), role_(std::move(role)) {}

  const std::string& role() const { return role_; }
  const Rights& rights() const {
    if (version_ != state_->version()) refresh();
    return *rights_;
  }
  /// False also where the role is gone or may not log in any more.
  bool may(Permission permission, std::string_view resource) const {
    const Rights& now = rights();
    return now.login && now.allow(permission, resource);
  }

 private:
  void refresh() const;

  const AccessState* state_;
  std::string role_;
  mutable uint64_t version_ = 0;
  mutable RightsPtr rights_;
};

}  // namespace asterism
