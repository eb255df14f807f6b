// What a user may do, and to what. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace asterism {

/// Each protocol has words of its own for them; their numbers are stored.
enum class Permission : uint8_t { create, alter, drop, read, write, authorize, describe, execute };
inline constexpr size_t permission_count = 8;

/// A set of permissions; one bit each, by number.
class PermissionSet {
 public:
  constexpr PermissionSet() = default;
  constexpr PermissionSet(std::initializer_list<Permission> permissions) {
    for (Permission permission : permissions) add(permission);
  }
  static constexpr PermissionSet from_bits(uint32_t bits) {
    PermissionSet set;
    set.bits_ = static_cast<uint8_t>(bits);
    return set;
  }

  constexpr void add(Permission permission) { bits_ |= bit(permission); }
  constexpr void add(PermissionSet others) { bits_ |= others.bits_; }
  constexpr void remove(PermissionSet others) { bits_ &= static_cast<uint8_t>(~others.bits_); }
  constexpr bool has(Permission permission) const { return (bits_ & bit(permission)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr uint32_t bits() const { return bits_; }
  constexpr PermissionSet operator&(PermissionSet other) const { return from_bits(bits_ & other.bits_); }
  constexpr bool operator==(const PermissionSet&) const = default;

 private:
  static constexpr uint8_t bit(Permission permission) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(permission));
  }
  uint8_t bits_ = 0;
};

/// A resource is a path whose meaning only the service knows that checks it: "data/shop/orders", "roles/ada". A grant
/// on a path covers everything below it. Parts hold no '/'.
inline constexpr char resource_separator = '/';
inline constexpr std::string_view role_resources = "roles";

/// Calls `visit` for the path and each of its parents, the path first, until it returns true. Whether one did.
template <class Visit>
bool any_of_path(std::string_view path, Visit&& visit) {
  while (true) {
    if (visit(path)) return true;
    const size_t end = path.rfind(resource_separator);
    if (end == std::string_view::npos) return false;
    path = path.substr(0, end);
  }
}

inline std::string role_resource(std::string_view role) {
  return std::string(role_resources) + resource_separator + std::string(role);
}

/// Names of roles: 1 to 128 bytes, no '/', no control characters. Errors: invalid_argument.
Status check_role_name(std::string_view name);

}  // namespace asterism
