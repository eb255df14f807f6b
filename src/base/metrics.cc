#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace asterism {

uint64_t LatencyHistogram::upper_bound_ns(size_t index) {
  constexpr size_t fine = size_t{1} << fine_bits;
  if (index < fine) return index + 1;
  const size_t shift = (index >> fine_bits) - 1;
  const uint64_t mantissa = (index & (fine - 1)) + fine;
  return (mantissa + 1) << shift;
}

Duration LatencyHistogram::quantile(double q) const {
  if (count_ == 0) return Duration(0);
  const double wanted = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
  uint64_t seen = 0;
  size_t last = 0;
  for (size_t i = 0; i < size; ++i) {
    if (counts_[i] == 0) continue;
    last = i;
    seen += counts_[i];
    if (static_cast<double>(seen) >= wanted) break;
  }
  return Duration(static_cast<int64_t>(upper_bound_ns(last)));
}

uint64_t LatencyHistogram::count_up_to(unsigned exponent) const {
  ASSERT(exponent < top_bit);
  const size_t end = index(uint64_t{1} << exponent) + 1;
  uint64_t sum = 0;
  for (size_t i = 0; i < end; ++i) sum += counts_[i];
  return sum;
}

LatencyHistogram& LatencyHistogram::operator+=(const LatencyHistogram& other) {
  for (size_t i = 0; i < size; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  return *this;
}

LatencyHistogram LatencyHistogram::since(const LatencyHistogram& earlier) const {
  LatencyHistogram difference = *this;
  for (size_t i = 0; i < size; ++i) {
    ASSERT(earlier.counts_[i] <= counts_[i]);
    difference.counts_[i] -= earlier.counts_[i];
  }
  difference.count_ -= earlier.count_;
  difference.sum_ns_ -= earlier.sum_ns_;
  return difference;
}

namespace {

// The exported buckets: powers of two from 65.5 µs to 34.4 s, which are bounds of the histogram's own.
constexpr unsigned first_exponent = 16, last_exponent = 35;

bool is_name(std::string_view name, bool colons) {
  auto letter = [&](char c) { return (c >= 'a' && c <= 'z') || c == '_' || (colons && c == ':'); };
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && letter(name[0]) && std::ranges::all_of(name, [&](char c) { return letter(c) || digit(c); });
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\\' || (quotes && c == '"'))
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

/// {a="x",b="y"}, or nothing.
std::string label_set(const MetricLabels& labels, std::string_view le = {}) {
  if (labels.empty() && le.empty()) return {};
  std::string out;
  for (const auto& [name, value] : labels) {
    ASSERT(is_name(name, false) && name != "le" && !name.starts_with("__"));
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "{" : ",", name, escaped(value, true));
  }
  if (!le.empty()) out += fmt::format("{}le=\"{}\"", out.empty() ? "{" : ",", le);
  return out + "}";
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

}  // namespace

MetricsPage::Family& MetricsPage::family(std::string_view name, const char* type, std::string_view help) {
  ASSERT(is_name(name, true));
  auto found = families_.find(name);
  if (found == families_.end())
    found = families_.emplace(std::string(name), Family{type, escaped(help, false), {}}).first;
  ASSERT(std::string_view(found->second.type) == type);
  return found->second;
}

void MetricsPage::counter(std::string_view name, std::string_view help, uint64_t value, const MetricLabels& labels) {
  ASSERT(name.ends_with("_total"));
  family(name, "counter", help).samples += fmt::format("{}{} {}\n", name, label_set(labels), value);
}

void MetricsPage::counter(std::string_view name, std::string_view help, Duration value, const MetricLabels& labels) {
  ASSERT(name.ends_with("_seconds_total"));
  family(name, "counter", help).samples +=
      fmt::format("{}{} {}\n", name, label_set(labels), number(static_cast<double>(value.count()) / 1e9));
}

void MetricsPage::gauge(std::string_view name, std::string_view help, double value, const MetricLabels& labels) {
  ASSERT(!name.ends_with("_total"));
  family(name, "gauge", help).samples += fmt::format("{}{} {}\n", name, label_set(labels), number(value));
}

void MetricsPage::histogram(std::string_view name, std::string_view help, const LatencyHistogram& value,
                            const MetricLabels& labels) {
  ASSERT(name.ends_with("_seconds"));
  std::string& out = family(name, "histogram", help).samples;
  for (unsigned exponent = first_exponent; exponent <= last_exponent; ++exponent) {
    const double bound = static_cast<double>(uint64_t{1} << exponent) / 1e9;
    out += fmt::format("{}_bucket{} {}\n", name, label_set(labels, number(bound)), value.count_up_to(exponent));
  }
  const std::string plain = label_set(labels);
  out += fmt::format("{}_bucket{} {}\n", name, label_set(labels, "+Inf"), value.count());
  out += fmt::format("{}_sum{} {}\n", name, plain, number(static_cast<double>(value.sum().count()) / 1e9));
  out += fmt::format("{}_count{} {}\n", name, plain, value.count());
}

std::string MetricsPage::text() const {
  std::string out;
  for (const auto& [name, family] : families_)
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n{}", name, family.help, name, family.type, family.samples);
  return out;
}

MetricsRegistry::Registration& MetricsRegistry::Registration::operator=(Registration&& other) noexcept {
  release();
  from_ = std::exchange(other.from_, nullptr);
  place_ = other.place_;
  return *this;
}

void MetricsRegistry::Registration::release() {
  if (auto* from = std::exchange(from_, nullptr)) from->reports_.erase(place_);
}

MetricsRegistry::Registration MetricsRegistry::add(Report report) {
  Registration registration;
  registration.from_ = this;
  registration.place_ = reports_.insert(reports_.end(), std::move(report));
  return registration;
}

std::string MetricsRegistry::text() const {
  MetricsPage page;
  for (const Report& report : reports_) report(page);
  return page.text();
}

}  // namespace asterism
