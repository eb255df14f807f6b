// Where the log lines of a real process go.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace asterism {

/// One line: "2026-01-31T12:00:00.123456Z info component message". Control bytes inside a message are escaped, so a
/// peer cannot forge lines; a line is cut at 4,096 bytes. Written at once by one system call. From any thread.
std::string format_log_line(int64_t wall_us, LogLevel level, std::string_view component, std::string_view message);

/// Writes to a descriptor that it does not own, such as standard error (2). Lines that cannot be written are dropped.
class DescriptorLogSink final : public LogSink {
 public:
  explicit DescriptorLogSink(int descriptor) : descriptor_(descriptor) {}
  void write(LogLevel level, std::string_view component, std::string_view message) override;

 private:
  int descriptor_;
};

/// Appends to a file. At `max_bytes` the file is renamed to "<path>.1", whose predecessor is lost: two files at most.
class FileLogSink final : public LogSink {
 public:
  static Result<std::unique_ptr<FileLogSink>> open(const std::string& path, uint64_t max_bytes = 16 << 20);
  ~FileLogSink() override;
  void write(LogLevel level, std::string_view component, std::string_view message) override;

 private:
  FileLogSink(std::string path, uint64_t max_bytes) : path_(std::move(path)), max_bytes_(max_bytes) {}
  bool reopen();

  std::string path_;
  uint64_t max_bytes_;
  std::mutex mutex_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace asterism
