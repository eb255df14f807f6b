// Entries of the log files of nodes, in the order in which they were written.
#pragma once

#include <optional>
#include <string>

#include "base/log.h"
#include "runtime/real/tailed_file.h"

namespace asterism {

struct LogEntry {
  int64_t at_us = 0;
  std::string time;  // as it was written
  std::string node;
  bool audit = false;
  LogLevel level = LogLevel::info;
  std::string component, message;  // without control characters
};

/// A line of a log file (runtime/real/log_sink.h). Nothing where it is no such line.
std::optional<LogEntry> parse_log_line(std::string_view line);

/// One log file and, before it, its predecessor "<path>.1". Lines that the log did not write, such as what a process
/// says when it crashes, have the time and the level of the line before.
class LogSource {
 public:
  /// Longer lines are cut into several.
  static constexpr size_t line_bytes_max = 64 << 10;

  /// Begins at least `last_bytes` before the end, so that lines before may be left out.
  LogSource(std::string node, std::string path, bool audit, uint64_t last_bytes);

  const std::string& node() const { return node_; }
  /// None where nothing more has been written yet. Follows the file's name when another file gets it.
  std::optional<LogEntry> next();

 private:
  bool fill();
  std::optional<std::string> next_line();

  std::string node_, path_;
  bool audit_;
  std::optional<TailedFile> old_, live_;
  Bytes buffer_;
  size_t used_ = 0;  // of the buffer
  bool skip_line_ = false;
  LogEntry last_;
};

}  // namespace asterism
