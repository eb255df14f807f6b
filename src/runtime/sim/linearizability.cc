#include "runtime/sim/linearizability.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

namespace asterism::sim {

namespace {

/// Searches the orders of one register's operations.
class Search {
 public:
  Search(std::vector<const RegisterOperation*> operations, std::string initial)
      : operations_(std::move(operations)), done_(operations_.size(), '0'), value_(std::move(initial)) {
    std::ranges::sort(operations_, {}, &RegisterOperation::start);
    for (const auto* operation : operations_) known_ += operation->end != Instant::never();
  }

  bool possible() {
    struct Step {
      size_t taken;
      std::string value_before;
    };
    std::vector<Step> path;
    size_t from = 0;
    while (true) {
      if (known_done_ == known_) return true;
      const size_t next = candidate(from);
      if (next < operations_.size()) {
        path.push_back({next, value_});
        take(next);
        if (tried_.insert(done_ + value_).second) {
          most_ = std::max(most_, known_done_);
          from = 0;
          continue;
        }
      }
      // Nothing goes on from here: take the last step back and try the one after it.
      if (path.empty()) return false;
      const Step last = std::move(path.back());
      path.pop_back();
      done_[last.taken] = '0';
      known_done_ -= operations_[last.taken]->end != Instant::never();
      value_ = last.value_before;
      from = last.taken + 1;
    }
  }
  size_t explained() const { return most_; }
  size_t known() const { return known_; }

 private:
  /// The first operation at or after `from` that may come next: no other one must have ended before it began.
  size_t candidate(size_t from) const {
    Instant first_end = Instant::never();
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i]->start > first_end) break;
      if (done_[i] == '0') first_end = std::min(first_end, operations_[i]->end);
    }
    for (size_t i = from; i < operations_.size() && operations_[i]->start <= first_end; ++i)
      if (done_[i] == '0' && fits(*operations_[i])) return i;
    return operations_.size();
  }
  bool fits(const RegisterOperation& operation) const {
    return operation.write ? operation.expected.value_or(value_) == value_ : operation.value == value_;
  }
  void take(size_t i) {
    done_[i] = '1';
    known_done_ += operations_[i]->end != Instant::never();
    if (operations_[i]->write) value_ = operations_[i]->value;
  }

  std::vector<const RegisterOperation*> operations_;
  std::string done_;
  std::string value_;
  size_t known_ = 0, known_done_ = 0, most_ = 0;
  std::unordered_set<std::string> tried_;
};

}  // namespace

std::optional<std::string> find_violation(const std::vector<RegisterOperation>& history, const std::string& initial) {
  std::map<std::string, std::vector<const RegisterOperation*>> by_key;
  // A write of unknown outcome whose value nobody saw explains nothing, and doubles what there is to try.
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const auto& operation : history) {
    if (!operation.write) seen.emplace(operation.key, operation.value);
    if (operation.expected) seen.emplace(operation.key, *operation.expected);
  }
  for (const auto& operation : history)
    if (operation.end != Instant::never() || (operation.write && seen.contains({operation.key, operation.value})))
      by_key[operation.key].push_back(&operation);
  for (auto& [key, operations] : by_key) {
    std::string text;
    std::ranges::sort(operations, {}, &RegisterOperation::start);
    Search search(operations, initial);
    if (search.possible()) continue;
    text = fmt::format("key '{}': at most {} of {} operations can be explained\n", key, search.explained(),
                       search.known());
    for (const auto* operation : operations)
      text += fmt::format("  {:>14} .. {:>14} {} '{}'\n", operation->start.ns,
                          operation->end == Instant::never() ? "?" : std::to_string(operation->end.ns),
                          operation->expected ? fmt::format("'{}' ->", *operation->expected)
                          : operation->write  ? "write"
                                              : "read",
                          operation->value);
    return text;
  }
  return std::nullopt;
}

}  // namespace asterism::sim
