#include "cli/first_superuser.h"

#include <algorithm>

#include "cli/passwords.h"
#include "gateway/scram.h"
#include "runtime/real/secret.h"

namespace asterism {
namespace {

/// 32 letters and digits that nobody takes for one another: five bits each.
constexpr std::string_view password_letters = "abcdefghijkmnpqrstuvwxyz23456789";
constexpr size_t password_size = 24;
static_assert(password_letters.size() == 32);

std::string make_password() {
  std::string password;
  for (char byte : secret_bytes(password_size)) password += password_letters[static_cast<unsigned char>(byte) % 32];
  return password;
}

}  // namespace

Result<std::optional<std::string>> turn_authentication_on(const ClusterOptions& options,
                                                          std::vector<NodeConfig>& nodes) {
  std::optional<std::string> made_up;
  if (!options.authentication || std::ranges::all_of(nodes, &NodeConfig::authentication)) return made_up;
  for (const NodeConfig& node : nodes)
    if (running_process(node))
      return fail(ErrorCode::already_exists, "{} is running: stop it first, so that authentication can be turned on",
                  node.name);
  // One that an earlier attempt has left may be in use already.
  std::string admin;
  for (const NodeConfig& node : nodes)
    if (admin.empty()) admin = node.admin;
  if (admin.empty()) {
    std::string password;
    if (options.admin_password_file.empty()) {
      password = made_up.emplace(make_password());
    } else {
      TRY(password, read_password_file(options.admin_password_file, "the admin's password"));
    }
    admin = format_verifier(make_verifier(password, secret_bytes(password_salt_bytes)));
  }
  for (NodeConfig& node : nodes) {
    node.authentication = true;
    node.admin = admin;
    TRY_STATUS(save_node_config(node));
  }
  return made_up;
}

}  // namespace asterism
