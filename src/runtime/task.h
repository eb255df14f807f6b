// Task<T>: a lazy coroutine. It starts when it is awaited and is cancelled by being destroyed, which destroys its frame
// and, with it, every task that the frame was waiting for.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "runtime/executor.h"

namespace asterism {

template <class T>
class Task;

namespace detail {

/// What awaitables see of any coroutine: the executor of its core. A child inherits it from its parent.
struct PromiseBase {
  Executor* executor = nullptr;
  std::coroutine_handle<> continuation;
  Ready* observer = nullptr;  // instead of a continuation: queued at the end

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      PromiseBase& promise = self.promise();
      if (promise.observer == nullptr) return promise.continuation;
      if (!promise.observer->queued()) promise.executor->post(*promise.observer);
      return std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  // Exceptions mean bugs or exhausted memory: the process ends with the exception's text.
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

/// Await it at most once, as an rvalue: `co_await f()` or `co_await std::move(task)`. Parameters taken by reference
/// must outlive the task; a lambda that is a coroutine must not capture unless it outlives the task.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    Handle child;
    bool await_ready() const noexcept { return false; }
    template <class Parent>
    Handle await_suspend(std::coroutine_handle<Parent> parent) noexcept {
      child.promise().executor = parent.promise().executor;
      child.promise().continuation = parent;
      return child;
    }
    T await_resume() { return child.promise().take(); }
  };
  Awaiter operator co_await() && noexcept {
    ASSERT(handle_ && !handle_.done());
    return {handle_};
  }

  /// Instead of awaiting it: runs it up to where it first waits, and queues `observer`, which must outlive it, at its
  /// end.
  void start(Executor& executor, Ready& observer) {
    ASSERT(handle_ && !handle_.done());
    handle_.promise().executor = &executor;
    handle_.promise().observer = &observer;
    handle_.resume();
  }
  bool done() const { return handle_.done(); }
  /// Once, of a task that is done.
  T take() { return handle_.promise().take(); }

 private:
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace detail

/// `Executor& executor = co_await current_executor();`
struct CurrentExecutor {
  Executor* executor = nullptr;
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
    executor = self.promise().executor;
    return false;
  }
  Executor& await_resume() const noexcept { return *executor; }
};
inline CurrentExecutor current_executor() { return {}; }

/// A suspended coroutine that can be queued. Base of the awaitables below: they live in the waiting frame, so that
/// destroying the frame takes the wake-up off the queue.
class Resumption : public Ready {
 public:
  template <class Promise>
  void suspend(std::coroutine_handle<Promise> self) {
    handle_ = self;
    executor_ = self.promise().executor;
    ASSERT(executor_ != nullptr);
  }
  bool suspended() const { return handle_ != nullptr; }
  /// Queues the coroutine to go on. Never resumes it inside the call.
  void resume_later() {
    if (!queued()) executor_->post(*this);
  }
  /// After everybody who has not had a turn.
  void resume_behind() { executor_->post_behind(*this); }
  void resume_long() { executor_->post_long(*this); }
  Executor& executor() const { return *executor_; }

 protected:
  /// The coroutine goes on by itself.
  void forget() {
    unqueue();
    handle_ = nullptr;
  }

 private:
  void run() final { std::exchange(handle_, nullptr).resume(); }

  std::coroutine_handle<> handle_;
  Executor* executor_ = nullptr;
};

/// Lets everything else that is ready run first (Executor::post_behind).
struct Yield : Resumption {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    suspend(self);
    resume_behind();
  }
  void await_resume() const noexcept {}
};
inline Yield yield_now() { return {}; }

/// Before each piece of long work: waits until it is its turn to hold the core (Executor::post_long).
struct LongTurn : Resumption {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    suspend(self);
    resume_long();
  }
  void await_resume() const noexcept {}
};
inline LongTurn long_turn() { return {}; }

/// `co_await sleep_until(instant)`, `co_await sleep_for(duration)`.
class Sleep : Resumption {
 public:
  explicit Sleep(Instant at) : at_(at) {}
  explicit Sleep(Duration wait) : wait_(wait) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    suspend(self);
    timer_.emplace(executor());
    timer_->arm(wait_ ? executor().now() + *wait_ : at_, [this] { resume_later(); });
  }
  void await_resume() const noexcept {}

 private:
  Instant at_;
  std::optional<Duration> wait_;
  std::optional<Timer> timer_;
};
inline Sleep sleep_until(Instant at) { return Sleep(at); }
inline Sleep sleep_for(Duration wait) { return Sleep(wait); }

}  // namespace asterism
