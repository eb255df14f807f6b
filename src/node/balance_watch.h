// When the balancer acts by itself, and for what: what lasts, and not too often. Pure: looks come in with their time.
#pragma once

#include <string>

#include "base/time.h"
#include "cluster/balance.h"

namespace asterism {

class BalanceWatch {
 public:
  struct Options {
    Duration bytes_after;  // for which nodes are uneven, at every look
    Duration load_after;   // the same for load
    Duration load_rest;    // between two steps for load: the first must show what it brings
  };
  explicit BalanceWatch(Options options) : options_(options) {}

  /// Nothing has lasted yet: nodes are down, a change is under way, or it was somebody else's to look.
  void begin_anew();
  /// The step that is due. Where none helps, it is tried again as seldom as one would be made.
  std::optional<BalanceStep> look(const Ring& ring, const std::vector<BalanceScope>& scopes, Instant now);
  /// Of the latest look that had a step.
  const std::string& reason() const { return reason_; }

 private:
  class Lasting {
   public:
    bool for_at_least(Duration time, bool is_so, Instant now);
    void begin_anew() { since_.reset(); }

   private:
    std::optional<Instant> since_;
  };

  Options options_;
  Lasting uneven_, busy_;
  std::optional<Instant> rests_until_;
  std::string reason_;
};

}  // namespace asterism
