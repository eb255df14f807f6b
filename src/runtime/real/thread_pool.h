// A few threads for blocking work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace asterism {

/// Threads are started when work first needs them, up to a limit. Destroying the pool runs what is queued, then joins.
class ThreadPool {
 public:
  explicit ThreadPool(size_t most_threads) : most_threads_(most_threads) {}
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  /// From any thread. Unbounded: callers bound themselves.
  void submit(std::move_only_function<void()> work);

 private:
  void work();

  size_t most_threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> queue_;
  std::vector<std::thread> threads_;
  size_t sleeping_ = 0;
  bool ending_ = false;
};

}  // namespace asterism
