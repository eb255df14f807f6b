#include "datastore/cql/resource.h"

#include <fmt/format.h>

#include <algorithm>

namespace asterism::cql {
namespace {

/// How many parts a path has, and whether it is one of data or of roles.
struct Shape {
  bool data = false, roles = false;
  size_t parts = 1;
};

Shape shape_of(std::string_view resource) {
  const std::string_view first = resource.substr(0, resource.find(resource_separator));
  return {first == data_resources, first == role_resources,
          static_cast<size_t>(std::ranges::count(resource, resource_separator)) + 1};
}

}  // namespace

std::string_view permission_name(Permission permission) {
  static constexpr std::string_view names[permission_count] = {"CREATE", "ALTER",     "DROP",     "SELECT",
                                                               "MODIFY", "AUTHORIZE", "DESCRIBE", "EXECUTE"};
  return names[static_cast<size_t>(permission)];
}

std::string resource_name(std::string_view resource) {
  const Shape shape = shape_of(resource);
  const size_t first = resource.find(resource_separator);
  const std::string_view rest = first == std::string_view::npos ? "" : resource.substr(first + 1);
  if (shape.roles) return shape.parts == 1 ? "<all roles>" : fmt::format("<role {}>", rest);
  if (shape.parts == 1) return "<all keyspaces>";
  if (shape.parts == 2) return fmt::format("<keyspace {}>", rest);
  const size_t second = rest.find(resource_separator);
  return fmt::format("<table {}.{}>", rest.substr(0, second), rest.substr(second + 1));
}

PermissionSet permissions_of(std::string_view resource) {
  using enum Permission;
  const Shape shape = shape_of(resource);
  if (shape.data && shape.parts <= 2) return {create, alter, drop, read, write, authorize};
  if (shape.data && shape.parts == 3) return {alter, drop, read, write, authorize};
  if (shape.roles && shape.parts == 1) return {create, alter, drop, authorize, describe};
  if (shape.roles && shape.parts == 2) return {alter, drop, authorize};
  return {};
}

}  // namespace asterism::cql
