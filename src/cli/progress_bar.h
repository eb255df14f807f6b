// A line on the terminal that says how far a command is.
#pragma once

#include <string>

#include "base/time.h"

namespace asterism {

class ProgressBar {
 public:
  /// Draws nothing unless `shown` and standard error is a terminal.
  explicit ProgressBar(bool shown);
  ~ProgressBar() { clear(); }
  bool shown() const { return shown_; }
  /// `fraction` below 0: not known.
  void show(double fraction, const std::string& words);
  void clear();

 private:
  bool shown_, drawn_ = false;
};

/// "1,234,567"
std::string with_commas(uint64_t number);
/// "12.3 MiB"
std::string byte_words(uint64_t bytes);
/// "3 min 20 s"
std::string time_words(Duration time);

}  // namespace asterism
