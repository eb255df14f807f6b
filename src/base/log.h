// Log handles. A component gets a Log; the runtime decides where lines go (standard error, or a simulated run's story).
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace asterism {

enum class LogLevel : uint8_t { debug, info, warning, error };
const char* to_string(LogLevel level);

/// Receives whole lines. Called on any core of its node; must not block for long.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(LogLevel level, std::string_view component, std::string_view message) = 0;
};

/// A cheap copyable handle. The sink must outlive it. A default-made Log drops everything.
class Log {
 public:
  Log() = default;
  Log(LogSink& sink, std::string component, LogLevel least = LogLevel::info)
      : sink_(&sink), component_(std::move(component)), least_(least) {}

  Log child(std::string_view component) const {
    Log log = *this;
    log.component_ = component_.empty() ? std::string(component) : fmt::format("{}.{}", component_, component);
    return log;
  }
  bool enabled(LogLevel level) const { return sink_ != nullptr && level >= least_; }

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::debug)) put(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::info)) put(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::warning)) put(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(LogLevel::error)) put(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  void put(LogLevel level, std::string_view message) const { sink_->write(level, component_, message); }

  LogSink* sink_ = nullptr;
  std::string component_;
  LogLevel least_ = LogLevel::info;
};

}  // namespace asterism
