#include "gateway/authenticator.h"

#include "runtime/io.h"

namespace asterism {
namespace {

Bytes random_bytes(Random& random, size_t size) {
  Bytes bytes;
  ByteWriter out(bytes);
  while (bytes.size() < size) out.u64_be(random.next());
  bytes.resize(size);
  return bytes;
}

/// Counts a waiter, also one whose frame is destroyed while it waits.
class Counted {
 public:
  explicit Counted(size_t& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  size_t& count_;
};

class Turn {
 public:
  Turn(bool& busy, WaitQueue& next) : busy_(busy), next_(next) { busy_ = true; }
  Turn(const Turn&) = delete;
  ~Turn() {
    busy_ = false;
    next_.wake_one();
  }

 private:
  bool& busy_;
  WaitQueue& next_;
};

}  // namespace

Authenticator::Authenticator(const AccessState& state, Disk& disk, Random& random, Audit audit,
                             AuthenticatorOptions options)
    : state_(state), disk_(disk), random_(random), audit_(std::move(audit)), options_(options) {
  nobody_.iterations = options_.iterations;
  nobody_.salt = random_bytes(random_, password_salt_bytes);
  nobody_.stored_key = random_bytes(random_, 32);
}

Task<Status> Authenticator::run(std::move_only_function<Status()> work) {
  if (waiting_ >= options_.waiting_max) {
    ++counters_.overloaded;
    co_return fail(ErrorCode::overloaded, "too many logins are under way on this node: try again later");
  }
  const Counted counted(waiting_);
  while (busy_) co_await turn_.wait();
  const Turn turn(busy_, turn_);
  co_return co_await run_blocking(disk_, std::move(work));
}

Task<Status> Authenticator::check(const std::string& name, std::string password) {
  const Role* role = state_.role(name);
  const bool known = role != nullptr && role->password.has_value();
  const bool login = role != nullptr && role->login;
  auto fits = std::make_shared<bool>(false);
  CO_TRY_STATUS(co_await run([verifier = known ? *role->password : nobody_, password = std::move(password), fits] {
    *fits = password_fits(verifier, password);
    return Status();
  }));
  if (!known || !*fits)
    co_return fail(ErrorCode::unauthorized, "Provided username {} and/or password are incorrect", name);
  if (!login) co_return fail(ErrorCode::unauthorized, "{} is not permitted to log in", name);
  co_return Status();
}

Task<Status> Authenticator::log_in(std::string name, std::string password, Address from) {
  Status outcome;
  if (password.size() > password_bytes_max || !check_role_name(name)) {
    outcome = fail(ErrorCode::unauthorized, "Provided username and/or password are incorrect");
  } else {
    outcome = co_await check(name, std::move(password));
  }
  if (outcome) {
    ++counters_.logins;
  } else {
    ++counters_.refused;
  }
  audit_.login(name, from, outcome);
  co_return outcome;
}

Task<Result<PasswordVerifier>> Authenticator::verifier(std::string password) {
  if (password.empty() || password.size() > password_bytes_max || password.contains('\0'))
    co_return fail(ErrorCode::invalid_argument, "a password has 1 to {} bytes, none of them 0", password_bytes_max);
  auto made = std::make_shared<PasswordVerifier>();
  CO_TRY_STATUS(co_await run([made, password = std::move(password), salt = random_bytes(random_, password_salt_bytes),
                              iterations = options_.iterations] {
    *made = make_verifier(password, salt, iterations);
    return Status();
  }));
  co_return std::move(*made);
}

}  // namespace asterism
