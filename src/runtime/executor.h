// The event loop's heart: what is ready to run now, and what shall run later. One per core, shared by both runtimes.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "ports/clock.h"

namespace asterism {

class Executor;

/// Something that can be queued to run. Intrusive: queueing allocates nothing, and destroying it takes it off the
/// queue, which is what makes destroying a coroutine frame a safe way to cancel it.
class Ready {
 public:
  Ready() = default;
  Ready(const Ready&) = delete;
  Ready& operator=(const Ready&) = delete;

  bool queued() const { return next_ != nullptr; }
  /// Takes it off the queue; nothing happens where it is not queued.
  void unqueue();

 protected:
  ~Ready() { unqueue(); }

 private:
  friend class Executor;
  virtual void run() = 0;

  Ready* next_ = nullptr;
  Ready* previous_ = nullptr;
};

/// Calls a function once at or after an instant, unless it is cancelled, armed anew or destroyed before.
class Timer {
 public:
  explicit Timer(Executor& executor) : executor_(executor) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  void arm(Instant at, std::move_only_function<void()> function);
  void cancel();
  bool armed() const { return index_ != not_armed; }

 private:
  friend class Executor;
  static constexpr size_t not_armed = SIZE_MAX;

  Executor& executor_;
  std::move_only_function<void()> function_;
  size_t index_ = not_armed;
};

/// Runs what is ready, first in first out in each of three lines, and keeps the timers. Driven by a runtime; used by
/// one core only.
class Executor {
 public:
  /// The clock must outlive the executor, and the executor everything queued or armed in it.
  explicit Executor(const Clock& clock);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor();

  const Clock& clock() const { return clock_; }
  Instant now() const { return clock_.now(); }

  /// Queues `ready`, which must not be queued already.
  void post(Ready& ready);
  /// The same for what has had its turn and has more to do: it runs while nothing else is ready, and after every
  /// `others_first` others where something always is.
  void post_behind(Ready& ready);
  static constexpr size_t others_first = 8;
  /// What it counts for in run().
  static constexpr size_t steps_of_a_turn = 8;
  /// The same for what holds the core for long, a millisecond say: each run() ends with one of these, however many
  /// wait, and the runtime looks for new work before the next.
  void post_long(Ready& ready);

  // For the runtime that drives this executor.

  /// Fires the timers that are due and runs what is ready, until nothing but long things is or `most` things were run,
  /// and one long thing. Returns how many were.
  size_t run(size_t most);
  bool idle() const { return line_.empty() && behind_.empty() && long_.empty(); }
  /// When the earliest timer is due.
  std::optional<Instant> next_deadline() const;
  /// Called when work appears while run() is not running: something was posted, or a timer became the earliest.
  void on_work(std::move_only_function<void()> wake) { wake_ = std::move(wake); }

 private:
  friend class Timer;
  struct Armed {
    Instant at;
    uint64_t sequence;
    Timer* timer;
    bool operator<(const Armed& other) const { return at != other.at ? at < other.at : sequence < other.sequence; }
  };
  struct Line final : Ready {
    Line();
    ~Line();
    bool empty() const { return next_ == this; }
    void push(Ready& ready);
    void run() override {}
  };

  Line& next_line();
  void add(Line& line, Ready& ready);
  static void run_first(Line& line);
  void fire_due_timers();
  void insert(Timer& timer, Instant at);
  void erase(Timer& timer);
  void place(size_t index, Armed armed);
  void sift_up(size_t index);
  void sift_down(size_t index);
  void wake() {
    if (!running_ && wake_) wake_();
  }

  const Clock& clock_;
  Line line_, behind_, long_;
  size_t since_behind_ = 0;
  std::vector<Armed> heap_;
  uint64_t next_sequence_ = 0;
  bool running_ = false;
  std::move_only_function<void()> wake_;
};

}  // namespace asterism
