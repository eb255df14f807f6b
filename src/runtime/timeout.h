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

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    suspend(self);
    timer_.emplace(executor());
    timer_->arm(deadline_, [this] {
      if (!result_) resume_later();
    });
    runner_.emplace(run(*this));
    runner_->start(executor());
  }
  Result<T> await_resume() {
    timer_.reset();
    runner_.reset();
    if (!result_) return fail(ErrorCode::timeout, "the deadline passed");
    return std::move(*result_);
  }

 private:
  /// A coroutine that is started by hand and tells nobody of its end.
  class Runner {
   public:
    struct promise_type : PromiseBase {
      Runner get_return_object() { return Runner(std::coroutine_handle<promise_type>::from_promise(*this)); }
      std::suspend_always final_suspend() noexcept { return {}; }
      void return_void() {}
    };
    explicit Runner(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    Runner(Runner&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    ~Runner() {
      if (handle_) handle_.destroy();
    }
    void start(Executor& executor) {
      handle_.promise().executor = &executor;
      handle_.resume();
    }

   private:
    std::coroutine_handle<promise_type> handle_;
  };

  static Runner run(DeadlineAwaiter& self) {
    self.result_.emplace(co_await std::move(self.child_));
    self.resume_later();
  }

  Task<Result<T>> child_;
  Instant deadline_;
  std::optional<Result<T>> result_;
  std::optional<Timer> timer_;
  std::optional<Runner> runner_;
};

}  // namespace detail

/// Awaits `task` until `deadline`; then destroys it and yields `timeout`.
template <class T>
Task<Result<T>> with_deadline(Instant deadline, Task<Result<T>> task) {
  co_return co_await detail::DeadlineAwaiter<T>(std::move(task), deadline);
}

/// The same, counted from now.
template <class T>
Task<Result<T>> with_timeout(Duration limit, Task<Result<T>> task) {
  Executor& executor = co_await current_executor();
  co_return co_await detail::DeadlineAwaiter<T>(std::move(task), executor.now() + limit);
}

}  // namespace asterism
