// What clients did to one row and what they may therefore read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace asterism::simulation {

/// How an operation ended, as far as the client can know.
enum class Ending : uint8_t {
  under_way,
  done,     // acknowledged: it happened
  refused,  // certainly nothing happened, now and later
  unknown,  // it may have happened and may still happen
};

/// The changes of one row, each with a client timestamp of its own: the change with the latest timestamp of those that
/// took effect decides. Changes and reads at a quorum make a regular register without new-old inversion: a read that
/// begins after an acknowledged change, or after a read that saw it, sees that change or a later one.
class RowHistory {
 public:
  /// A change begins; no value for a deletion. `timestamp_us` is greater than 0 and unique in the row.
  void begin(int64_t timestamp_us, std::optional<std::string> value);
  void end(int64_t timestamp_us, Ending ending);

  /// The least timestamp that a read which begins now must see the effect of.
  int64_t floor() const { return floor_; }
  /// A read that began at that floor saw `value`, or no row. Returns what is wrong, or nothing. Where it raises the
  /// floor for later reads, `strong` is true: the read was at a quorum.
  std::optional<std::string> check(int64_t floor, const std::optional<std::string>& value, bool strong);

 private:
  struct Change {
    std::optional<std::string> value;
    Ending ending = Ending::under_way;
  };
  std::map<int64_t, Change> changes_;
  int64_t floor_ = 0;
};

}  // namespace asterism::simulation
