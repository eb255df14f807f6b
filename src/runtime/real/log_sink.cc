#include "runtime/real/log_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/real/core.h"
#include "runtime/real/system_file.h"

namespace asterism {

static constexpr size_t max_line_bytes = 4096;

std::string format_log_line(int64_t wall_us, LogLevel level, std::string_view component, std::string_view message) {
  const time_t seconds = wall_us / 1'000'000;
  tm parts;
  gmtime_r(&seconds, &parts);
  std::string line = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z {} {} ", parts.tm_year + 1900,
                                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                                 wall_us % 1'000'000, to_string(level), component.empty() ? "-" : component);
  for (char c : message) {
    if (line.size() + 8 > max_line_bytes) {
      line += "...";
      break;
    }
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
      line += c;
    else if (c == '\n')
      line += "\\n";
    else
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  line += '\n';
  return line;
}

static void write_line(int descriptor, const std::string& line) {
  while (::write(descriptor, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

void DescriptorLogSink::write(LogLevel level, std::string_view component, std::string_view message) {
  write_line(descriptor_, format_log_line(RealClock().wall_now().us, level, component, message));
}

Result<std::unique_ptr<FileLogSink>> FileLogSink::open(const std::string& path, uint64_t max_bytes) {
  std::unique_ptr<FileLogSink> sink(new FileLogSink(path, max_bytes));
  if (!sink->reopen()) return std::unexpected(error_from_errno(errno, "open log " + path));
  return sink;
}

FileLogSink::~FileLogSink() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FileLogSink::reopen() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (descriptor_ < 0) return false;
  struct stat status;
  size_ = ::fstat(descriptor_, &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
  return true;
}

void FileLogSink::write(LogLevel level, std::string_view component, std::string_view message) {
  const std::string line = format_log_line(RealClock().wall_now().us, level, component, message);
  std::lock_guard lock(mutex_);
  if (size_ + line.size() > max_bytes_) {
    ::rename(path_.c_str(), (path_ + ".1").c_str());
    reopen();
  }
  if (descriptor_ < 0) return;
  size_ += line.size();
  write_line(descriptor_, line);
}

}  // namespace asterism
