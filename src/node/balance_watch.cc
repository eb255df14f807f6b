#include "node/balance_watch.h"

#include <fmt/format.h>

namespace asterism {

bool BalanceWatch::Lasting::for_at_least(Duration time, bool is_so, Instant now) {
  if (!is_so) since_.reset();
  if (is_so && !since_) since_ = now;
  return is_so && now - *since_ >= time;
}

void BalanceWatch::begin_anew() {
  uneven_.begin_anew();
  busy_.begin_anew();
}

std::optional<BalanceStep> BalanceWatch::look(const Ring& ring, const std::vector<BalanceScope>& scopes, Instant now) {
  const double off = unevenness(stored_shares(ring, scopes));
  const LoadShares load = load_shares(ring, scopes);
  const bool uneven = uneven_.for_at_least(options_.bytes_after, off > uneven_above, now);
  const bool busy = busy_.for_at_least(options_.load_after, load.matters() && load.excess() > busy_above, now);
  if (uneven) {
    uneven_.begin_anew();
    reason_ = fmt::format("a node stores {:.0f} % more or less than the mean", off * 100);
    if (auto step = next_balance_step(ring, scopes, BalanceAim::bytes)) return step;
  }
  if (!busy || (rests_until_ && now < *rests_until_)) return std::nullopt;
  busy_.begin_anew();
  reason_ = fmt::format("a node does {:.0f} % more than the mean", load.excess() * 100);
  auto step = next_balance_step(ring, scopes, BalanceAim::load);
  if (step) rests_until_ = now + options_.load_rest;
  return step;
}

}  // namespace asterism
