// How many requests a second a user may make of this node: option requests_per_second of a role.
#pragma once

#include <map>
#include <string>

#include "base/token_bucket.h"
#include "gateway/access.h"

namespace asterism {

/// The role's own limit, not those of what it is a member of. Nothing where it has none.
std::optional<uint32_t> requests_per_second(const Role& role);

/// Used by one core; the state must outlive it. Costs a comparison where no role has a limit.
class RequestLimits {
 public:
  explicit RequestLimits(const AccessState& state) : state_(state) {}

  /// False where the user has made too many requests lately. What a second allows may come at once.
  bool take(const std::string& role, Instant now);
  uint64_t refused() const { return refused_; }

 private:
  void refresh();

  struct Limit {
    double rate = 0;
    TokenBucket bucket;
  };
  const AccessState& state_;
  uint64_t version_ = 0;
  std::map<std::string, Limit, std::less<>> limits_;
  uint64_t refused_ = 0;
};

}  // namespace asterism
