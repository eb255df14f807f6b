// OneShot<T>: one value, sent once, awaited once. The bridge from callbacks and replies to coroutines.
#pragma once

#include <concepts>
#include <optional>

#include "ports/callback.h"
#include "runtime/task.h"

namespace asterism {

/// Await with `Result<T> r = co_await one_shot.receive();`. A sender that is destroyed unsent yields `closed`.
/// Allocates nothing: it lives in the waiting frame, and it and its sender know where the other one is. What is sent
/// after it is gone is dropped.
template <class T>
class OneShot {
 public:
  class Sender {
   public:
    Sender() = default;
    Sender(Sender&& other) noexcept { take(other); }
    Sender& operator=(Sender&& other) noexcept {
      if (this == &other) return *this;
      abandon();
      take(other);
      return *this;
    }
    ~Sender() { abandon(); }

    /// The first call counts. The waiter goes on in the executor's next turn.
    void send(Result<T> value) {
      OneShot* to = std::exchange(to_, nullptr);
      if (to == nullptr) return;
      to->sender_ = nullptr;
      to->value_.emplace(std::move(value));
      if (to->waiter_) to->waiter_->resume_later();
    }
    /// Nothing was sent yet, and somebody may still wait for it.
    explicit operator bool() const { return to_ != nullptr; }

   private:
    friend class OneShot;
    explicit Sender(OneShot& to) : to_(&to) { to.sender_ = this; }
    void take(Sender& other) {
      to_ = std::exchange(other.to_, nullptr);
      if (to_) to_->sender_ = this;
    }
    void abandon() {
      if (to_) send(fail(ErrorCode::closed, "nobody will answer any more"));
    }
    OneShot* to_ = nullptr;
  };

  OneShot() = default;
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;
  ~OneShot() {
    if (sender_) sender_->to_ = nullptr;
  }

  /// Call once.
  Sender sender() {
    ASSERT(sender_ == nullptr && !value_);
    return Sender(*this);
  }
  Callback<T> callback() {
    return [sender = sender()](Result<T> value) mutable { sender.send(std::move(value)); };
  }

  class Receive : Resumption {
   public:
    explicit Receive(OneShot& from) : from_(from) {}
    ~Receive() { from_.waiter_ = nullptr; }
    bool await_ready() const noexcept { return from_.value_.has_value(); }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) {
      suspend(self);
      from_.waiter_ = this;
    }
    Result<T> await_resume() { return std::move(*from_.value_); }

   private:
    friend class OneShot;
    OneShot& from_;
  };
  /// The OneShot must outlive what this returns.
  Receive receive() { return Receive(*this); }

 private:
  std::optional<Result<T>> value_;
  Receive* waiter_ = nullptr;
  Sender* sender_ = nullptr;
};

/// A port operation that was started, to be awaited once.
template <class T>
class Async {
 public:
  template <class Start>
    requires std::invocable<Start, Callback<T>>
  explicit Async(Start&& start) {
    start(one_shot_.callback());
  }
  bool await_ready() const noexcept { return receive_.await_ready(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    receive_.await_suspend(self);
  }
  Result<T> await_resume() { return receive_.await_resume(); }

 private:
  OneShot<T> one_shot_;
  typename OneShot<T>::Receive receive_{one_shot_};
};

/// Turns a port operation into something to await:
/// `Result<Bytes> r = co_await async<Bytes>([&](auto done) { stream.read(4096, std::move(done)); });`
template <class T, class Start>
Async<T> async(Start&& start) {
  return Async<T>(std::forward<Start>(start));
}

}  // namespace asterism
