// Channel<T>, Semaphore, Event: how tasks of one core hand things to one another and wait for one another.
#pragma once

#include <deque>
#include <optional>

#include "base/result.h"
#include "runtime/task.h"

namespace asterism {

/// A line of coroutines that wait for something, first come first served. A frame that is destroyed leaves the line.
class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  ~WaitQueue() { ASSERT(first_ == nullptr); }

  class Waiter : Resumption {
   public:
    explicit Waiter(WaitQueue& queue) : queue_(queue) {}
    Waiter(const Waiter&) = delete;
    ~Waiter() { leave(); }
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) {
      suspend(self);
      previous_ = queue_.last_;
      (previous_ ? previous_->next_ : queue_.first_) = this;
      queue_.last_ = this;
      waiting_ = true;
    }
    void await_resume() const noexcept {}

   private:
    friend class WaitQueue;
    void leave() {
      if (!std::exchange(waiting_, false)) return;
      (previous_ ? previous_->next_ : queue_.first_) = next_;
      (next_ ? next_->previous_ : queue_.last_) = previous_;
      next_ = previous_ = nullptr;
    }
    WaitQueue& queue_;
    Waiter* next_ = nullptr;
    Waiter* previous_ = nullptr;
    bool waiting_ = false;
  };

  /// `co_await queue.wait()`: woken coroutines must check their condition again.
  Waiter wait() { return Waiter(*this); }
  void wake_one() {
    if (first_ == nullptr) return;
    Waiter& first = *first_;
    first.leave();
    first.resume_later();
  }
  void wake_all() {
    while (first_ != nullptr) wake_one();
  }
  bool empty() const { return first_ == nullptr; }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

/// A bounded queue between tasks of one core.
template <class T>
class Channel {
 public:
  explicit Channel(size_t capacity) : capacity_(capacity) { ASSERT(capacity > 0); }

  /// False where the channel is full or closed; `value` is then untouched.
  bool try_push(T& value) {
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    poppers_.wake_one();
    return true;
  }
  /// Waits for room. False where the channel was closed: the value is lost.
  Task<bool> push(T value) {
    while (!try_push(value)) {
      if (closed_) co_return false;
      co_await pushers_.wait();
    }
    co_return true;
  }
  std::optional<T> try_pop() {
    if (items_.empty()) return std::nullopt;
    T value = std::move(items_.front());
    items_.pop_front();
    pushers_.wake_one();
    if (!items_.empty()) poppers_.wake_one();
    return value;
  }
  /// Waits for a value. None once the channel is closed and empty.
  Task<std::optional<T>> pop() {
    while (items_.empty()) {
      if (closed_) co_return std::nullopt;
      co_await poppers_.wait();
    }
    co_return try_pop();
  }
  /// Pushing ends; what is inside can still be popped.
  void close() {
    closed_ = true;
    poppers_.wake_all();
    pushers_.wake_all();
  }
  bool closed() const { return closed_; }
  size_t size() const { return items_.size(); }
  size_t capacity() const { return capacity_; }

 private:
  std::deque<T> items_;
  size_t capacity_;
  bool closed_ = false;
  WaitQueue poppers_, pushers_;
};

/// Counts units of something bounded: requests under way, bytes in flight.
class Semaphore {
 public:
  explicit Semaphore(uint64_t units) : available_(units) {}

  /// Gives its units back when it is destroyed. The semaphore must outlive it.
  class Permit {
   public:
    Permit() = default;
    Permit(Semaphore* from, uint64_t units) : from_(from), units_(units) {}
    Permit(Permit&& other) noexcept : from_(std::exchange(other.from_, nullptr)), units_(other.units_) {}
    Permit& operator=(Permit&& other) noexcept {
      release();
      from_ = std::exchange(other.from_, nullptr);
      units_ = other.units_;
      return *this;
    }
    ~Permit() { release(); }
    void release() {
      if (auto* from = std::exchange(from_, nullptr)) {
        from->available_ += units_;
        from->waiters_.wake_all();
      }
    }
    explicit operator bool() const { return from_ != nullptr; }

   private:
    Semaphore* from_ = nullptr;
    uint64_t units_ = 0;
  };

  std::optional<Permit> try_acquire(uint64_t units = 1) {
    if (units > available_) return std::nullopt;
    available_ -= units;
    return Permit(this, units);
  }
  /// Waits. `units` must not exceed what the semaphore was made with, or it waits for ever.
  Task<Permit> acquire(uint64_t units = 1) {
    while (units > available_) co_await waiters_.wait();
    available_ -= units;
    co_return Permit(this, units);
  }
  uint64_t available() const { return available_; }

 private:
  uint64_t available_;
  WaitQueue waiters_;
};

/// Set once; everybody who waits goes on, now and later.
class Event {
 public:
  void set() {
    set_ = true;
    waiters_.wake_all();
  }
  bool is_set() const { return set_; }
  Task<void> wait() {
    while (!set_) co_await waiters_.wait();
  }

 private:
  bool set_ = false;
  WaitQueue waiters_;
};

}  // namespace asterism
