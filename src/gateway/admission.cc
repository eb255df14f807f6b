#include "gateway/admission.h"

#include <algorithm>

namespace asterism {

constexpr Duration look_every = std::chrono::milliseconds(10);
constexpr uint32_t little = 2, room_for_little = 1024;

Admission::Admission(AdmissionOptions options, Executor& executor)
    : options_(options), executor_(executor), limit_(options.most), timer_(executor) {}

bool Admission::admit(uint32_t askers_open) {
  if (open_ >= limit_ + (askers_open < little ? room_for_little : 0)) {
    ++refused_;
    return false;
  }
  // With fewer than that nothing would be refused.
  if (++open_ > options_.least / 2 && !timer_.armed() && !probe_.queued()) watch();
  return true;
}

void Admission::watch() {
  timer_.arm(executor_.now() + look_every, [this] {
    probe_posted_ = executor_.now();
    executor_.post(probe_);
  });
}

void Admission::adjust() {
  const Duration wait = executor_.now() - probe_posted_;
  const uint32_t least = std::min(options_.least, options_.most);
  if (wait > options_.wait_wanted) {
    const double share = static_cast<double>(options_.wait_wanted.count()) / static_cast<double>(wait.count());
    limit_ = std::max(least, static_cast<uint32_t>(share * std::min(open_, limit_)));
  } else if (wait < options_.wait_wanted / 2) {
    limit_ = std::min(options_.most, limit_ + std::max(limit_ / 16, 1u));
  }
  if (open_ > options_.least / 2 || limit_ < options_.most) watch();
}

}  // namespace asterism
