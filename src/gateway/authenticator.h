// Checks passwords: away from the core, one after another, and in the same time whether the user exists or not.
#pragma once

#include <string>

#include "gateway/access.h"
#include "gateway/audit.h"
#include "ports/disk.h"
#include "ports/random.h"
#include "runtime/channel.h"

namespace asterism {

struct AuthenticatorOptions {
  uint32_t iterations = password_iterations;
  /// Checks that wait for the one under way: more are refused. At 13 ms each, the last one waits four seconds.
  size_t waiting_max = 300;
};

struct AuthenticatorCounters {
  uint64_t logins = 0, refused = 0, overloaded = 0;
};

/// Used by one core. What it is given must outlive it; it must outlive its tasks. `disk` is where blocking work runs,
/// whose few threads also serve files: so no more than one of them ever checks passwords.
class Authenticator {
 public:
  Authenticator(const AccessState& state, Disk& disk, Random& random, Audit audit, AuthenticatorOptions options = {});

  /// Whether the user exists, may log in, and has that password; both are what a client said. Errors: unauthorized,
  /// which does not tell the first from the last, and overloaded.
  Task<Status> log_in(std::string name, std::string password, Address from);
  /// For a new password, with a salt of its own. Errors: invalid_argument, overloaded.
  Task<Result<PasswordVerifier>> verifier(std::string password);

  const Audit& audit() const { return audit_; }
  const AuthenticatorCounters& counters() const { return counters_; }

 private:
  Task<Status> run(std::move_only_function<Status()> work);
  Task<Status> check(const std::string& name, std::string password);

  const AccessState& state_;
  Disk& disk_;
  Random& random_;
  Audit audit_;
  AuthenticatorOptions options_;
  AuthenticatorCounters counters_;
  PasswordVerifier nobody_;  // what passwords of unknown users are checked against; none fits
  bool busy_ = false;
  size_t waiting_ = 0;
  WaitQueue turn_;
};

}  // namespace asterism
