#include "gateway/access.h"

#include <algorithm>
#include <charconv>
#include <deque>

#include "gateway/access.pb.h"

namespace asterism {
namespace {

constexpr size_t resource_bytes_max = 1024;
constexpr uint32_t requests_per_second_most = 1'000'000'000;
constexpr size_t options_max = 100, option_bytes_max = 1024;

void to_proto(const PasswordVerifier& verifier, access::Verifier& out) {
  out.set_salt(verifier.salt);
  out.set_iterations(verifier.iterations);
  out.set_stored_key(verifier.stored_key);
  out.set_server_key(verifier.server_key);
}

PasswordVerifier from_proto(const access::Verifier& in) {
  return {in.salt(), in.iterations(), in.stored_key(), in.server_key()};
}

void to_proto(const Role& role, access::Role& out) {
  out.set_name(role.name);
  out.set_login(role.login);
  out.set_superuser(role.superuser);
  if (role.password) to_proto(*role.password, *out.mutable_password());
  for (const auto& [option, value] : role.options) (*out.mutable_options())[option] = value;
  for (const std::string& parent : role.member_of) out.add_member_of(parent);
  for (const auto& [resource, permissions] : role.grants) {
    auto& grant = *out.add_grants();
    grant.set_resource(resource);
    grant.set_permissions(permissions.bits());
  }
}

Role from_proto(const access::Role& in) {
  Role role;
  role.name = in.name();
  role.login = in.login();
  role.superuser = in.superuser();
  if (in.has_password()) role.password = from_proto(in.password());
  role.options = {in.options().begin(), in.options().end()};
  role.member_of = {in.member_of().begin(), in.member_of().end()};
  for (const auto& grant : in.grants()) role.grants[grant.resource()] = PermissionSet::from_bits(grant.permissions());
  return role;
}

RoleChange from_proto(const access::AccessCommand::Alter& in) {
  RoleChange change;
  change.name = in.name();
  if (in.has_login()) change.login = in.login();
  if (in.has_superuser()) change.superuser = in.superuser();
  if (in.has_password()) change.password = from_proto(in.password());
  if (in.set_options()) change.options.emplace(in.options().begin(), in.options().end());
  return change;
}

Status check_options(const std::map<std::string, std::string>& options) {
  const bool fit = options.size() <= options_max && std::ranges::all_of(options, [](const auto& option) {
                     return option.first.size() <= option_bytes_max && option.second.size() <= option_bytes_max;
                   });
  if (!fit)
    return fail(ErrorCode::too_large, "a role has at most {} options of {} bytes", options_max, option_bytes_max);
  const auto limit = options.find(requests_per_second_option);
  if (limit == options.end() || parse_requests_per_second(limit->second)) return {};
  return fail(ErrorCode::invalid_argument, "{} must be a number from 1 to {}", requests_per_second_option,
              requests_per_second_most);
}

bool is_below(std::string_view path, std::string_view resource) {
  return any_of_path(path, [&](std::string_view part) { return part == resource; });
}

std::unexpected<Error> missing(const std::string& name) { return fail(ErrorCode::not_found, "{} doesn't exist", name); }

Bytes serialized(const access::AccessCommand& command) { return command.SerializeAsString(); }

}  // namespace

Status check_role_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 128 && std::ranges::none_of(name, [](char c) {
    return c == resource_separator || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (good) return {};
  return fail(ErrorCode::invalid_argument,
              "the name of a role has 1 to 128 bytes, none of them '/' or a control character");
}

std::optional<uint32_t> parse_requests_per_second(std::string_view text) {
  uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end || number < 1 || number > requests_per_second_most) return std::nullopt;
  return number;
}

bool Rights::allow(Permission permission, std::string_view resource) const {
  if (superuser) return true;
  return any_of_path(resource, [&](std::string_view path) {
    auto it = grants.find(path);
    return it != grants.end() && it->second.has(permission);
  });
}

void Principal::refresh() const {
  rights_ = state_->rights(role_);
  version_ = state_->version();
}

const Role* AccessState::role(std::string_view name) const {
  auto it = roles_.find(name);
  return it == roles_.end() ? nullptr : &it->second;
}

bool AccessState::has_superuser() const {
  return std::ranges::any_of(
      roles_, [](const auto& entry) { return entry.second.superuser && entry.second.login && entry.second.password; });
}

RightsPtr AccessState::rights(std::string_view name) const {
  if (auto it = rights_.find(name); it != rights_.end()) return it->second;
  auto made = std::make_shared<Rights>();
  const Role* self = role(name);
  // Names that nobody has are not kept: a client chooses them.
  if (self == nullptr) return made;
  made->exists = true;
  made->login = self->login;
  std::deque<const Role*> waiting{self};
  made->roles.insert(self->name);
  for (; !waiting.empty(); waiting.pop_front()) {
    const Role& one = *waiting.front();
    made->superuser |= one.superuser;
    for (const auto& [resource, permissions] : one.grants) made->grants[resource].add(permissions);
    for (const std::string& parent : one.member_of)
      if (const Role* found = role(parent); found != nullptr && made->roles.insert(parent).second)
        waiting.push_back(found);
  }
  rights_.emplace(name, made);
  return made;
}

Result<Bytes> AccessState::apply(uint64_t, BytesView command) {
  TRY_STATUS(change(command));
  ++version_;
  rights_.clear();
  return Bytes{};
}

Status AccessState::change(BytesView command) {
  access::AccessCommand parsed;
  if (!parsed.ParseFromArray(command.data(), static_cast<int>(command.size())))
    return fail(ErrorCode::invalid_argument, "malformed access command");
  switch (parsed.command_case()) {
    case access::AccessCommand::kCreate:
      return create_now(from_proto(parsed.create()));
    case access::AccessCommand::kAlter:
      return alter_now(from_proto(parsed.alter()));
    case access::AccessCommand::kDrop:
      return drop_now(parsed.drop());
    case access::AccessCommand::kJoin:
      return join_now(parsed.join().role(), parsed.join().member());
    case access::AccessCommand::kLeave:
      return leave_now(parsed.leave().role(), parsed.leave().member());
    case access::AccessCommand::kPermit: {
      const auto& grant = parsed.permit().grant();
      TRY(Role * role, find(parsed.permit().role()));
      if (grant.resource().empty() || grant.resource().size() > resource_bytes_max)
        return fail(ErrorCode::invalid_argument, "a resource has 1 to {} bytes", resource_bytes_max);
      if (role->grants.size() >= grants_max && !role->grants.contains(grant.resource()))
        return fail(ErrorCode::too_large, "role {} has grants on {} resources already", role->name, grants_max);
      role->grants[grant.resource()].add(PermissionSet::from_bits(grant.permissions()));
      return {};
    }
    case access::AccessCommand::kForbid: {
      const auto& grant = parsed.forbid().grant();
      TRY(Role * role, find(parsed.forbid().role()));
      auto it = role->grants.find(grant.resource());
      if (it == role->grants.end()) return {};
      it->second.remove(PermissionSet::from_bits(grant.permissions()));
      if (it->second.empty()) role->grants.erase(it);
      return {};
    }
    case access::AccessCommand::kForget:
      forget_now(parsed.forget());
      return {};
    case access::AccessCommand::kFound:
      if (has_superuser()) return fail(ErrorCode::already_exists, "there is a superuser already");
      return found_now(from_proto(parsed.found()));
    case access::AccessCommand::kAddToken:
    case access::AccessCommand::kDropToken:
    case access::AccessCommand::kClaimToken:
      return tokens_.apply(parsed);
    case access::AccessCommand::COMMAND_NOT_SET:
      break;
  }
  return fail(ErrorCode::unsupported, "unknown access command");
}

Result<Role*> AccessState::find(const std::string& name) {
  auto it = roles_.find(name);
  if (it == roles_.end()) return missing(name);
  return &it->second;
}

Status AccessState::create_now(Role role) {
  TRY_STATUS(check_role_name(role.name));
  TRY_STATUS(check_options(role.options));
  if (roles_.contains(role.name)) return fail(ErrorCode::already_exists, "{} already exists", role.name);
  if (roles_.size() >= roles_max) return fail(ErrorCode::too_large, "there are {} roles already", roles_max);
  role.member_of.clear();
  std::string name = role.name;
  roles_.emplace(std::move(name), std::move(role));
  return {};
}

/// A role of that name that is no superuser, or cannot log in, makes room.
Status AccessState::found_now(Role role) {
  auto before = roles_.extract(role.name);
  Status created = create_now(std::move(role));
  if (!created && before) roles_.insert(std::move(before));
  return created;
}

Status AccessState::alter_now(const RoleChange& change) {
  TRY(Role * role, find(change.name));
  if (change.options) TRY_STATUS(check_options(*change.options));
  if (change.login) role->login = *change.login;
  if (change.superuser) role->superuser = *change.superuser;
  if (change.password) role->password = change.password;
  if (change.options) role->options = *change.options;
  return {};
}

Status AccessState::drop_now(const std::string& name) {
  if (roles_.erase(name) == 0) return missing(name);
  for (auto& [other, role] : roles_) role.member_of.erase(name);
  forget_now(role_resource(name));
  return {};
}

Status AccessState::join_now(const std::string& name, const std::string& member) {
  if (!roles_.contains(name)) return missing(name);
  TRY(Role * joining, find(member));
  // In both directions, so that memberships never make a circle. The rights kept are of this state.
  if (rights(member)->roles.contains(name))
    return fail(ErrorCode::invalid_argument, "{} is a member of {}", member, name);
  if (rights(name)->roles.contains(member))
    return fail(ErrorCode::invalid_argument, "{} is a member of {}", name, member);
  joining->member_of.insert(name);
  return {};
}

Status AccessState::leave_now(const std::string& name, const std::string& member) {
  TRY(Role * leaving, find(member));
  if (leaving->member_of.erase(name) == 0)
    return fail(ErrorCode::invalid_argument, "{} is not a member of {}", member, name);
  return {};
}

void AccessState::forget_now(const std::string& resource) {
  for (auto& [name, role] : roles_)
    std::erase_if(role.grants, [&](const auto& grant) { return is_below(grant.first, resource); });
}

Bytes AccessState::snapshot() const {
  access::AccessSnapshot out;
  for (const auto& [name, role] : roles_) to_proto(role, *out.add_roles());
  tokens_.save(out);
  return out.SerializeAsString();
}

Status AccessState::restore(BytesView snapshot) {
  access::AccessSnapshot in;
  if (!in.ParseFromArray(snapshot.data(), static_cast<int>(snapshot.size())))
    return fail(ErrorCode::corrupt, "malformed snapshot of section access");
  roles_.clear();
  for (const auto& role : in.roles()) roles_.emplace(role.name(), from_proto(role));
  tokens_.load(in);
  ++version_;
  rights_.clear();
  return {};
}

// Commands.

Bytes AccessState::create(const Role& role) {
  access::AccessCommand command;
  to_proto(role, *command.mutable_create());
  return serialized(command);
}

Bytes AccessState::found(const Role& role) {
  access::AccessCommand command;
  to_proto(role, *command.mutable_found());
  return serialized(command);
}

Bytes AccessState::alter(const RoleChange& change) {
  access::AccessCommand command;
  auto& out = *command.mutable_alter();
  out.set_name(change.name);
  if (change.login) out.set_login(*change.login);
  if (change.superuser) out.set_superuser(*change.superuser);
  if (change.password) to_proto(*change.password, *out.mutable_password());
  out.set_set_options(change.options.has_value());
  if (change.options)
    for (const auto& [option, value] : *change.options) (*out.mutable_options())[option] = value;
  return serialized(command);
}

Bytes AccessState::drop(const std::string& name) {
  access::AccessCommand command;
  command.set_drop(name);
  return serialized(command);
}

static Bytes membership(access::AccessCommand& command, access::AccessCommand::Membership& out, const std::string& role,
                        const std::string& member) {
  out.set_role(role);
  out.set_member(member);
  return serialized(command);
}

Bytes AccessState::join(const std::string& role, const std::string& member) {
  access::AccessCommand command;
  return membership(command, *command.mutable_join(), role, member);
}

Bytes AccessState::leave(const std::string& role, const std::string& member) {
  access::AccessCommand command;
  return membership(command, *command.mutable_leave(), role, member);
}

static Bytes permissions_command(access::AccessCommand& command, access::AccessCommand::Permissions& out,
                                 const std::string& role, const std::string& resource, PermissionSet permissions) {
  out.set_role(role);
  out.mutable_grant()->set_resource(resource);
  out.mutable_grant()->set_permissions(permissions.bits());
  return serialized(command);
}

Bytes AccessState::permit(const std::string& role, const std::string& resource, PermissionSet permissions) {
  access::AccessCommand command;
  return permissions_command(command, *command.mutable_permit(), role, resource, permissions);
}

Bytes AccessState::forbid(const std::string& role, const std::string& resource, PermissionSet permissions) {
  access::AccessCommand command;
  return permissions_command(command, *command.mutable_forbid(), role, resource, permissions);
}

Bytes AccessState::forget(const std::string& resource) {
  access::AccessCommand command;
  command.set_forget(resource);
  return serialized(command);
}

}  // namespace asterism
