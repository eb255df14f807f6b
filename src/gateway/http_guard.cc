#include "gateway/http_guard.h"

#include "gateway/scram.h"

namespace asterism {

static constexpr std::string_view bearer = "Bearer ";

std::pair<std::string, std::string> folder_secret_header(const std::string& secret) {
  return {"Authorization", std::string(bearer) + secret};
}

Task<std::optional<HttpResponse>> HttpGuard::refusal(const HttpRequest& request, bool superuser) {
  if (!on_) co_return std::nullopt;
  const std::string* header = request.header("Authorization");
  if (header != nullptr && header->starts_with(bearer) && !folder_secret_.empty() &&
      equal_in_constant_time(std::string_view(*header).substr(bearer.size()), folder_secret_))
    co_return std::nullopt;
  auto user = co_await log_in(authenticator_, access_, request);
  if (!user) co_return std::move(user).error();
  if (superuser && !user->rights().superuser)
    co_return HttpResponse::text(403, fmt::format("only a superuser may do this, and {} is none\n", user->role()));
  co_return std::nullopt;
}

}  // namespace asterism
