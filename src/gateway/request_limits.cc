#include "gateway/request_limits.h"

namespace asterism {

std::optional<uint32_t> requests_per_second(const Role& role) {
  auto it = role.options.find(requests_per_second_option);
  if (it == role.options.end()) return std::nullopt;
  return parse_requests_per_second(it->second);
}

bool RequestLimits::take(const std::string& role, Instant now) {
  if (version_ != state_.version()) refresh();
  if (limits_.empty()) return true;
  auto it = limits_.find(role);
  if (it == limits_.end() || it->second.bucket.take(now, it->second.rate, it->second.rate)) return true;
  ++refused_;
  return false;
}

/// Who has used up what he may has still used it up.
void RequestLimits::refresh() {
  version_ = state_.version();
  std::map<std::string, Limit, std::less<>> before;
  before.swap(limits_);
  for (const auto& [name, role] : state_.roles()) {
    const auto rate = requests_per_second(role);
    if (!rate) continue;
    if (auto it = before.find(name); it != before.end()) limits_[name].bucket = it->second.bucket;
    limits_[name].rate = *rate;
  }
}

}  // namespace asterism
