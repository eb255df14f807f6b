// with_deadline: the result of a task, or `timeout` and a destroyed task.
#pragma once

#include "base/result.h"
#include "runtime/task.h"

namespace asterism {

namespace detail {

/// Runs a child beside a timer; whichever comes first resumes the parent.
template <class T>
class DeadlineAwaiter : Resumption {
 public:
  DeadlineAwaiter(Task<Result<T>> child, Instant deadline) : child_(std::move(child)), deadline_(deadline) {}
  DeadlineAwaiter(Task<Result<T>> child, Duration limit) : child_(std::move(child)), limit_(limit) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) {
    suspend(self);
    if (limit_) deadline_ = executor().now() + *limit_;
    child_.start(executor(), *this);
    if (child_.done()) {
      forget();
      return false;
    }
    timer_.emplace(executor());
    timer_->arm(deadline_, [this] { resume_later(); });
    return true;
  }
  Result<T> await_resume() {
    timer_.reset();
    if (child_.done()) return child_.take();
    // Its frame goes now, not when the awaiting expression ends.
    auto dropped = std::move(child_);
    return fail(ErrorCode::timeout, "the deadline passed");
  }

 private:
  Task<Result<T>> child_;
  Instant deadline_{0};
  std::optional<Duration> limit_;
  std::optional<Timer> timer_;
};

}  // namespace detail

/// Awaits `task` until `deadline`; then destroys it and yields `timeout`. `Result<T> r = co_await with_deadline(…)`.
template <class T>
detail::DeadlineAwaiter<T> with_deadline(Instant deadline, Task<Result<T>> task) {
  return detail::DeadlineAwaiter<T>(std::move(task), deadline);
}

/// The same, counted from when it is awaited.
template <class T>
detail::DeadlineAwaiter<T> with_timeout(Duration limit, Task<Result<T>> task) {
  return detail::DeadlineAwaiter<T>(std::move(task), limit);
}

}  // namespace asterism
