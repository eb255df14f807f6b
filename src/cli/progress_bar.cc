#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/real/process.h"
#include "runtime/real/terminal.h"

namespace asterism {

ProgressBar::ProgressBar(bool shown) : shown_(shown && is_terminal(2)) {}

void ProgressBar::show(double fraction, const std::string& words) {
  if (!shown_) return;
  constexpr size_t width = 24;
  std::string line;
  if (fraction >= 0) {
    const auto filled = static_cast<size_t>(std::clamp(fraction, 0.0, 1.0) * width);
    line = fmt::format("[{:#<{}}{:.<{}}] {:3.0f} %  ", "", filled, "", width - filled, fraction * 100);
  }
  line += words;
  line.resize(std::min(line.size(), terminal_columns(2).value_or(80) - 1));
  (void)write_descriptor(2, "\r\x1b[K" + line);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (std::exchange(drawn_, false)) (void)write_descriptor(2, "\r\x1b[K");
}

std::string with_commas(uint64_t number) {
  std::string text = fmt::format("{}", number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string byte_words(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1024;
  for (const char* unit : {"KiB", "MiB", "GiB"}) {
    if (value < 1024) return fmt::format("{:.1f} {}", value, unit);
    value /= 1024;
  }
  return fmt::format("{:.1f} TiB", value);
}

std::string time_words(Duration time) {
  const int64_t s = std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(time).count());
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

}  // namespace asterism
