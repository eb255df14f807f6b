#include "runtime/executor.h"

#include <utility>

#include "base/assert.h"

namespace asterism {

void Ready::unqueue() {
  if (next_ == nullptr) return;
  previous_->next_ = next_;
  next_->previous_ = previous_;
  next_ = previous_ = nullptr;
}

void Timer::arm(Instant at, std::move_only_function<void()> function) {
  cancel();
  function_ = std::move(function);
  executor_.insert(*this, at);
}

void Timer::cancel() {
  if (armed()) executor_.erase(*this);
  function_ = nullptr;
}

Executor::Line::Line() { next_ = previous_ = this; }
Executor::Line::~Line() { next_ = previous_ = nullptr; }

void Executor::Line::push(Ready& ready) {
  ASSERT(!ready.queued());
  ready.previous_ = previous_;
  ready.next_ = this;
  previous_->next_ = &ready;
  previous_ = &ready;
}

Executor::Executor(const Clock& clock) : clock_(clock) {}

Executor::~Executor() {
  ASSERT(heap_.empty());
  ASSERT(idle());
}

void Executor::add(Line& line, Ready& ready) {
  const bool was_idle = idle();
  line.push(ready);
  if (was_idle) wake();
}

void Executor::post(Ready& ready) { add(line_, ready); }
void Executor::post_behind(Ready& ready) { add(behind_, ready); }
void Executor::post_long(Ready& ready) { add(long_, ready); }

Executor::Line& Executor::next_line() {
  const bool its_turn = !behind_.empty() && (line_.empty() || since_behind_ >= others_first);
  since_behind_ = its_turn ? 0 : since_behind_ + 1;
  return its_turn ? behind_ : line_;
}

void Executor::run_first(Line& line) {
  Ready& first = *line.next_;
  first.unqueue();
  first.run();
}

size_t Executor::run(size_t most) {
  ASSERT(!running_);
  running_ = true;
  size_t ran = 0;
  fire_due_timers();
  for (size_t steps = 0; steps < most && !(line_.empty() && behind_.empty()); ++ran) {
    Line& line = next_line();
    steps += &line == &behind_ ? steps_of_a_turn : 1;
    run_first(line);
  }
  if (!long_.empty()) {
    run_first(long_);
    ++ran;
  }
  running_ = false;
  return ran;
}

std::optional<Instant> Executor::next_deadline() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().at;
}

void Executor::fire_due_timers() {
  if (heap_.empty()) return;
  const Instant now = clock_.now();
  while (!heap_.empty() && heap_.front().at <= now) {
    Timer& timer = *heap_.front().timer;
    erase(timer);
    // Moved out first, because the function may arm or destroy its own timer.
    auto function = std::exchange(timer.function_, nullptr);
    function();
  }
}

void Executor::insert(Timer& timer, Instant at) {
  heap_.push_back({at, next_sequence_++, &timer});
  timer.index_ = heap_.size() - 1;
  sift_up(timer.index_);
  if (timer.index_ == 0) wake();
}

void Executor::erase(Timer& timer) {
  const size_t index = std::exchange(timer.index_, Timer::not_armed);
  ASSERT(index < heap_.size() && heap_[index].timer == &timer);
  Armed last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  place(index, last);
  sift_up(index);
  sift_down(last.timer->index_);
}

void Executor::place(size_t index, Armed armed) {
  heap_[index] = armed;
  armed.timer->index_ = index;
}

void Executor::sift_up(size_t index) {
  Armed moving = heap_[index];
  while (index > 0) {
    size_t parent = (index - 1) / 4;
    if (!(moving < heap_[parent])) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, moving);
}

void Executor::sift_down(size_t index) {
  Armed moving = heap_[index];
  while (true) {
    size_t least = index * 4 + 1;
    if (least >= heap_.size()) break;
    for (size_t child = least + 1; child < heap_.size() && child < index * 4 + 5; ++child)
      if (heap_[child] < heap_[least]) least = child;
    if (!(heap_[least] < moving)) break;
    place(index, heap_[least]);
    index = least;
  }
  place(index, moving);
}

}  // namespace asterism
