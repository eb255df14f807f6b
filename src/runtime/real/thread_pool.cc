#include "runtime/real/thread_pool.h"

#include <signal.h>

namespace asterism {

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::submit(std::move_only_function<void()> work) {
  std::unique_lock lock(mutex_);
  queue_.push_back(std::move(work));
  if (sleeping_ >= queue_.size() || threads_.size() == most_threads_) {
    // Without the lock, which the woken thread takes first.
    lock.unlock();
    wake_.notify_one();
    return;
  }
  // Signals belong to the loop's thread; a thread inherits the mask of the one that starts it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  threads_.emplace_back([this] { this->work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!queue_.empty()) {
      auto next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      next();
      next = nullptr;
      lock.lock();
      continue;
    }
    if (ending_) return;
    ++sleeping_;
    wake_.wait(lock);
    --sleeping_;
  }
}

}  // namespace asterism
