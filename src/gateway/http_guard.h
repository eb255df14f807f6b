// Who may see over HTTP what a node tells of itself, and who may change it.
#pragma once

#include "gateway/http_login.h"

namespace asterism {

/// Used by one core. All that it is made of outlives it.
class HttpGuard {
 public:
  /// `on`: clients must log in. `folder_secret`: whoever knows it may do everything; "": nobody knows it.
  HttpGuard(bool on, Authenticator& authenticator, const AccessState& access, std::string folder_secret)
      : on_(on), authenticator_(authenticator), access_(access), folder_secret_(std::move(folder_secret)) {}

  /// For those who log in (http_login.h), and for commands on this machine that can read the node's folder: they send
  /// its secret in the Bearer scheme (RFC 6750). What to refuse the request with, if anything: 401, 503, and 403 where
  /// `superuser` is wanted and it is none.
  Task<std::optional<HttpResponse>> refusal(const HttpRequest& request, bool superuser);

 private:
  bool on_;
  Authenticator& authenticator_;
  const AccessState& access_;
  std::string folder_secret_;
};

/// What a command sends that knows the secret.
std::pair<std::string, std::string> folder_secret_header(const std::string& secret);

}  // namespace asterism
