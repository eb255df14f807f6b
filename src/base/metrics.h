// Numbers about a running node, in the Prometheus text format. Components keep plain integers and histograms of their
// own and register a callback that reports them; nothing is looked up or locked where they are counted.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace asterism {

/// Counts durations in buckets that are never wider than a sixteenth of the values they hold, from 1 ns to 73 minutes;
/// what is longer counts as the longest. Recording costs a few instructions and never allocates. One core only; copies
/// are snapshots.
class LatencyHistogram {
 public:
  void record(Duration time) {
    const uint64_t ns = time.count() < 1 ? 1 : static_cast<uint64_t>(time.count());
    ++counts_[index(ns)];
    ++count_;
    sum_ns_ += ns;
  }
  uint64_t count() const { return count_; }
  Duration sum() const { return Duration(static_cast<int64_t>(sum_ns_)); }
  /// The duration that a share `q` (0 to 1) of those recorded does not pass, rounded up to its bucket's end; zero where
  /// nothing was recorded.
  Duration quantile(double q) const;
  /// How many were at most 2^exponent ns; exact.
  uint64_t count_up_to(unsigned exponent) const;
  LatencyHistogram& operator+=(const LatencyHistogram& other);
  /// What was recorded since `earlier`, a copy of this histogram.
  LatencyHistogram since(const LatencyHistogram& earlier) const;

 private:
  static constexpr unsigned fine_bits = 4;
  static constexpr unsigned top_bit = 42;
  static constexpr size_t size = (top_bit - fine_bits + 1) << fine_bits;

  // Buckets are open below and closed above, as Prometheus's are: (2^k, 2^k + 2^(k-4)] and so on.
  static size_t index(uint64_t ns) {
    const uint64_t value = ns - 1;
    if (value < (1u << fine_bits)) return static_cast<size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - fine_bits;
    const size_t found = (static_cast<size_t>(shift) << fine_bits) + static_cast<size_t>(value >> shift);
    return found < size ? found : size - 1;
  }
  static uint64_t upper_bound_ns(size_t index);

  std::array<uint64_t, size> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_ns_ = 0;
};

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

/// Collects samples and prints them. Names are asterism_<component>_<what>_<unit>, the unit in seconds or bytes; those
/// of counters end in _total and those of histograms in _seconds. Names and label names are the program's own and
/// asserted; label values may be any UTF-8. Every sample of a name has the same type; the first help text counts.
class MetricsPage {
 public:
  void counter(std::string_view name, std::string_view help, uint64_t value, const MetricLabels& labels = {});
  /// Of time that was spent, in seconds: <name> ends in _seconds_total.
  void counter(std::string_view name, std::string_view help, Duration value, const MetricLabels& labels = {});
  void gauge(std::string_view name, std::string_view help, double value, const MetricLabels& labels = {});
  void histogram(std::string_view name, std::string_view help, const LatencyHistogram& value,
                 const MetricLabels& labels = {});

  /// Text exposition format 0.0.4, families in order of their names.
  std::string text() const;
  static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Family {
    const char* type;
    std::string help;
    std::string samples;
  };
  Family& family(std::string_view name, const char* type, std::string_view help);

  std::map<std::string, Family, std::less<>> families_;
};

/// Who reports when somebody asks.
class MetricsRegistry {
 public:
  using Report = std::function<void(MetricsPage&)>;

  /// Ends the reporting when it is destroyed. The registry must outlive it.
  class Registration {
   public:
    Registration() = default;
    Registration(Registration&& other) noexcept : from_(std::exchange(other.from_, nullptr)), place_(other.place_) {}
    Registration& operator=(Registration&& other) noexcept;
    ~Registration() { release(); }
    void release();

   private:
    friend class MetricsRegistry;
    MetricsRegistry* from_ = nullptr;
    std::list<Report>::iterator place_;
  };

  /// `report` must stay callable until the registration ends; it must not add or end registrations.
  [[nodiscard]] Registration add(Report report);
  std::string text() const;

 private:
  std::list<Report> reports_;
};

}  // namespace asterism
