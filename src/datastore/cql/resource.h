// What the user model (gateway/access.h) calls by paths, in CQL's words.
#pragma once

#include <string>
#include <string_view>

#include "gateway/permission.h"

namespace asterism::cql {

inline constexpr std::string_view data_resources = "data";

inline std::string keyspace_resource(std::string_view keyspace) {
  return std::string(data_resources) + resource_separator + std::string(keyspace);
}
inline std::string table_resource(std::string_view keyspace, std::string_view table) {
  return keyspace_resource(keyspace) + resource_separator + std::string(table);
}

/// "SELECT", "MODIFY", …
std::string_view permission_name(Permission permission);
/// "<all keyspaces>", "<keyspace shop>", "<table shop.orders>", "<all roles>", "<role ada>".
std::string resource_name(std::string_view resource);
/// The permissions that mean something for it; none for a path that is no resource of CQL.
PermissionSet permissions_of(std::string_view resource);

/// A permission that a statement needs.
struct Need {
  Permission permission = Permission::read;
  std::string resource;
  bool operator==(const Need&) const = default;
};

}  // namespace asterism::cql
