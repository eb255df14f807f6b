// Who sends an HTTP request: the Basic scheme (RFC 7617), which browsers ask their users for by themselves.
#pragma once

#include "gateway/authenticator.h"
#include "gateway/http_message.h"

namespace asterism {

struct HttpCredentials {
  std::string name, password;
};

/// Nothing where the request has none in the Basic scheme, or malformed ones.
std::optional<HttpCredentials> credentials_of(const HttpRequest& request);

/// The user who sends the request, or the answer that refuses it: 401, or 503 where too many log in at once. Checked
/// anew for each request, which takes as long as any login.
Task<std::expected<Principal, HttpResponse>> log_in(Authenticator& authenticator, const AccessState& access,
                                                    const HttpRequest& request);

}  // namespace asterism
