#include "gateway/http_login.h"

#include <algorithm>

#include "gateway/base64.h"

namespace asterism {

std::optional<HttpCredentials> credentials_of(const HttpRequest& request) {
  constexpr std::string_view scheme = "basic ";
  const std::string* header = request.header("Authorization");
  if (header == nullptr) return std::nullopt;
  std::string_view value = *header;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  if (!std::ranges::equal(value.substr(0, scheme.size()), scheme, {}, lower)) return std::nullopt;
  value.remove_prefix(std::min(value.find_first_not_of(' ', scheme.size()), value.size()));
  Bytes pair;
  if (!from_base64(value, pair)) return std::nullopt;
  const size_t colon = pair.find(':');
  if (colon == Bytes::npos) return std::nullopt;
  return HttpCredentials{std::string(pair.substr(0, colon)), std::string(pair.substr(colon + 1))};
}

Task<std::expected<Principal, HttpResponse>> log_in(Authenticator& authenticator, const AccessState& access,
                                                    const HttpRequest& request) {
  auto credentials = credentials_of(request);
  Status known = fail(ErrorCode::unauthorized, "log in first");
  if (credentials)
    known = co_await authenticator.log_in(credentials->name, std::move(credentials->password), request.from);
  if (known) co_return Principal(access, std::move(credentials->name));
  const bool wrong = known.error().code == ErrorCode::unauthorized;
  HttpResponse refused = HttpResponse::text(wrong ? 401 : 503, known.error().message + "\n");
  if (wrong) refused.headers.emplace_back("WWW-Authenticate", R"(Basic realm="Asterism", charset="UTF-8")");
  co_return std::unexpected(std::move(refused));
}

}  // namespace asterism
