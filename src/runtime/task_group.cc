#include "runtime/task_group.h"

namespace asterism {

struct TaskGroup::Root : Ready {
  Executor* executor = nullptr;
  TaskGroup* group = nullptr;
  Root* next = nullptr;
  Root* previous = nullptr;
  std::coroutine_handle<> frame;

  void run() override { frame.resume(); }

  void link(TaskGroup& owner) {
    group = &owner;
    executor = &owner.executor_;
    next = owner.first_;
    if (next) next->previous = this;
    owner.first_ = this;
    ++owner.size_;
  }
  void unlink() {
    (previous ? previous->next : group->first_) = next;
    if (next) next->previous = previous;
    --group->size_;
  }
};

struct TaskGroup::Joiner : Resumption {
  TaskGroup& group;
  explicit Joiner(TaskGroup& of) : group(of) {}
  ~Joiner() {
    if (group.joiner_ == this) group.joiner_ = nullptr;
  }
  bool await_ready() const noexcept { return group.size_ == 0; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    ASSERT(group.joiner_ == nullptr);
    group.joiner_ = this;
    suspend(self);
  }
  void await_resume() const noexcept {}
};

struct TaskGroup::Detached {
  struct promise_type : Root {
    Detached get_return_object() {
      frame = std::coroutine_handle<promise_type>::from_promise(*this);
      return {this};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        TaskGroup& owner = *self.promise().group;
        self.promise().unlink();
        self.destroy();
        if (owner.size_ == 0 && owner.joiner_ != nullptr) owner.joiner_->resume_later();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };

  static Detached wrap(Task<void> task) { co_await std::move(task); }

  Root* root;
};

void TaskGroup::spawn(Task<void> task) {
  Root& root = *Detached::wrap(std::move(task)).root;
  root.link(*this);
  executor_.post(root);
}

void TaskGroup::cancel() {
  while (first_ != nullptr) {
    Root& root = *first_;
    root.unlink();
    root.frame.destroy();
  }
}

Task<void> TaskGroup::join() { co_await Joiner(*this); }

}  // namespace asterism
