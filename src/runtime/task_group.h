// TaskGroup: the owner of tasks that run beside their starter.
#pragma once

#include <cstddef>

#include "runtime/task.h"

namespace asterism {

/// Every task that is not awaited belongs to a group. Destroying the group, or cancel(), destroys the frames of its
/// tasks; what a frame refers to must therefore be declared before the group. Used by one core only.
class TaskGroup {
 public:
  /// The executor must outlive the group.
  explicit TaskGroup(Executor& executor) : executor_(executor) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { cancel(); }

  /// Starts the task on the executor's next turn. Unbounded: callers that spawn per request bound themselves.
  void spawn(Task<void> task);
  /// Destroys all tasks. Must not be called by one of them.
  void cancel();
  /// Completes when no task is left. One caller at a time.
  Task<void> join();
  size_t size() const { return size_; }
  Executor& executor() const { return executor_; }

 private:
  struct Root;      // the outermost frame's place in the group
  struct Detached;  // the coroutine around a spawned task
  struct Joiner;

  Executor& executor_;
  Root* first_ = nullptr;
  size_t size_ = 0;
  Joiner* joiner_ = nullptr;
};

}  // namespace asterism
