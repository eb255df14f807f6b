// The audit log: who logged in from where, and who changed what. One line an event, "name=value" with quoted values.
#pragma once

#include <string_view>

#include "base/log.h"
#include "base/result.h"
#include "ports/network.h"

namespace asterism {

/// A cheap copyable handle. A default-made one drops everything.
class Audit {
 public:
  Audit() = default;
  explicit Audit(Log log) : log_(std::move(log)) {}

  /// `name` is what the client said, whether there is such a user or not.
  void login(std::string_view name, const Address& from, const Status& outcome) const;
  /// A change of schemas or users, done or refused. `what` says it in words and holds no secret; an empty `name` is
  /// somebody who did not have to log in.
  void change(std::string_view name, const Address& from, std::string_view what, const Status& outcome) const;

 private:
  Log log_;
};

}  // namespace asterism
