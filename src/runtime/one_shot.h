// OneShot<T>: one value, sent once, awaited once. The bridge from callbacks and replies to coroutines.
#pragma once

#include <memory>
#include <optional>

#include "ports/callback.h"
#include "runtime/task.h"

namespace asterism {

/// Await with `Result<T> r = co_await one_shot.receive();`. A sender that is destroyed unsent yields `closed`.
template <class T>
class OneShot {
  struct State {
    std::optional<Result<T>> value;
    Resumption* waiter = nullptr;
  };

 public:
  class Sender {
   public:
    Sender() = default;
    explicit Sender(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Sender(Sender&&) noexcept = default;
    Sender& operator=(Sender&& other) noexcept {
      abandon();
      state_ = std::move(other.state_);
      return *this;
    }
    ~Sender() { abandon(); }

    /// At most once. The waiter goes on in the executor's next turn.
    void send(Result<T> value) {
      ASSERT(state_ != nullptr);
      auto state = std::move(state_);
      state->value.emplace(std::move(value));
      if (state->waiter) state->waiter->resume_later();
    }
    explicit operator bool() const { return state_ != nullptr; }

   private:
    void abandon() {
      if (state_) send(fail(ErrorCode::closed, "nobody will answer any more"));
    }
    std::shared_ptr<State> state_;
  };

  OneShot() : state_(std::make_shared<State>()) {}

  /// Call once.
  Sender sender() { return Sender(state_); }
  Callback<T> callback() {
    return [sender = sender()](Result<T> value) mutable { sender.send(std::move(value)); };
  }

  class Receive : Resumption {
   public:
    explicit Receive(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Receive(const Receive&) = delete;
    ~Receive() { state_->waiter = nullptr; }
    bool await_ready() const noexcept { return state_->value.has_value(); }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) {
      suspend(self);
      state_->waiter = this;
    }
    Result<T> await_resume() { return std::move(*state_->value); }

   private:
    std::shared_ptr<State> state_;
  };
  Receive receive() { return Receive(state_); }

 private:
  std::shared_ptr<State> state_;
};

/// Turns a port operation into something to await:
/// `Result<Bytes> r = co_await async<Bytes>([&](auto done) { stream.read(4096, std::move(done)); });`
template <class T, class Start>
typename OneShot<T>::Receive async(Start&& start) {
  OneShot<T> one_shot;
  start(one_shot.callback());
  return one_shot.receive();
}

}  // namespace asterism
