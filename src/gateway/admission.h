// How many requests a node takes on at once: as many as it works off quickly.
#pragma once

#include <cstdint>

#include "runtime/executor.h"

namespace asterism {

struct AdmissionOptions {
  uint32_t most = 16'384;  // requests under way, however quick they are
  /// Never fewer: requests that wait for disks or for other nodes cost no time here.
  uint32_t least = 256;
  /// How long what is ready may wait for the core. A request waits so long a few times.
  Duration wait_wanted = std::chrono::microseconds(250);
};

/// For the faces of one core. While many requests are under way it measures how long what is ready waits for the core,
/// and bounds them in proportion: who comes too many is refused while that costs little, and who was taken on is served
/// in time (the idea of CoDel, RFC 8289, with a bound in place of dropping from a queue).
class Admission {
 public:
  Admission(AdmissionOptions options, Executor& executor);

  /// False: the request shall be refused as overloaded. True: done() ends it. `askers_open`: how many the same
  /// connection has under way. Beyond the bound 1,024 more are taken from those who ask little: they do not suffer for
  /// who asks much.
  bool admit(uint32_t askers_open);
  void done() { --open_; }
  /// Of requests that were cancelled all together.
  void forget() { open_ = 0; }

  uint32_t open() const { return open_; }
  uint32_t limit() const { return limit_; }
  uint64_t refused() const { return refused_; }

 private:
  /// Goes through the core's queue now and then, as everything does.
  struct Probe final : Ready {
    explicit Probe(Admission& of) : admission(of) {}
    void run() override { admission.adjust(); }
    Admission& admission;
  };

  void watch();
  void adjust();

  AdmissionOptions options_;
  Executor& executor_;
  uint32_t open_ = 0;
  uint32_t limit_;
  uint64_t refused_ = 0;
  Timer timer_;
  Probe probe_{*this};
  Instant probe_posted_{0};
};

}  // namespace asterism
