#include "cli/log_source.h"

#include <algorithm>

#include "cli/output.h"
#include "datastore/calendar.h"
#include "gateway/websocket.h"

namespace asterism {
namespace {

constexpr uint64_t block_bytes = 64 << 10;

std::optional<LogLevel> level_named(std::string_view name) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error})
    if (name == to_string(level)) return level;
  return std::nullopt;
}

/// What may be shown: no control characters, and no bytes that are no UTF-8.
std::string shown(std::string_view text) {
  std::string out = printable(text);
  if (!is_utf8(out)) std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return out;
}

/// The text up to the next space, which is taken too.
std::string_view take_word(std::string_view& text) {
  const size_t space = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(std::min(space + 1, text.size()));
  return word;
}

/// "2026-01-31T12:00:00.123456Z" to microseconds since 1970.
std::optional<int64_t> parse_time_us(std::string_view text) {
  constexpr size_t size = 27;
  if (text.size() != size || text[10] != 'T' || text[19] != '.' || text.back() != 'Z') return std::nullopt;
  const auto ms = datastore::parse_timestamp(text);
  const std::string_view fine = text.substr(23, 3);
  if (!ms || !std::ranges::all_of(fine, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return *ms * 1000 + (fine[0] - '0') * 100 + (fine[1] - '0') * 10 + (fine[2] - '0');
}

/// Opened at most `last_bytes` before its end; those that it has not are left in `last_bytes`.
std::optional<TailedFile> open_end(const std::string& path, uint64_t& last_bytes, bool& inside) {
  auto file = TailedFile::open(path);
  if (!file) return std::nullopt;
  const uint64_t size = file->size().value_or(0);
  inside = size > last_bytes;
  if (inside) file->seek(size - last_bytes);
  last_bytes -= std::min(last_bytes, size);
  return std::optional<TailedFile>(std::move(*file));
}

}  // namespace

std::optional<LogEntry> parse_log_line(std::string_view line) {
  LogEntry entry;
  const std::string_view time = take_word(line), level = take_word(line);
  const auto at = parse_time_us(time);
  const auto known = level_named(level);
  if (!at || !known) return std::nullopt;
  entry.at_us = *at;
  entry.time = time;
  entry.level = *known;
  entry.component = shown(take_word(line));
  entry.message = shown(line);
  return entry;
}

LogSource::LogSource(std::string node, std::string path, bool audit, uint64_t last_bytes)
    : node_(std::move(node)), path_(std::move(path)), audit_(audit) {
  live_ = open_end(path_, last_bytes, skip_line_);
  if (last_bytes > 0) old_ = open_end(path_ + ".1", last_bytes, skip_line_);
  // The log was renamed in between.
  if (old_ && live_ && old_->identity() == live_->identity()) old_.reset();
}

/// More bytes behind what is in the buffer; false where there are none.
bool LogSource::fill() {
  buffer_.erase(0, std::exchange(used_, 0));
  const auto read_from = [&](std::optional<TailedFile>& file) {
    auto bytes = file->read(block_bytes);
    if (!bytes || bytes->empty()) return false;
    buffer_ += *bytes;
    return true;
  };
  const auto open_live = [&] {
    auto opened = TailedFile::open(path_);
    if (opened) live_.emplace(std::move(*opened));
    return opened.has_value();
  };
  if (old_) {
    if (read_from(old_)) return true;
    old_.reset();
  }
  if (!live_ && !open_live()) return false;
  if (read_from(live_)) return true;
  const auto named = identity_of(path_);
  if (!named || *named == live_->identity()) return false;
  // What was written between the last look and the renaming.
  if (read_from(live_)) return true;
  if (!open_live()) return false;
  return read_from(live_);
}

std::optional<std::string> LogSource::next_line() {
  while (true) {
    const size_t end = buffer_.find('\n', used_);
    const bool cut = end == Bytes::npos && buffer_.size() - used_ >= line_bytes_max;
    if (end == Bytes::npos && !cut) {
      if (!fill()) return std::nullopt;
      continue;
    }
    std::string line = buffer_.substr(used_, cut ? line_bytes_max : end - used_);
    used_ += line.size() + (cut ? 0 : 1);
    if (!std::exchange(skip_line_, false)) return line;
  }
}

std::optional<LogEntry> LogSource::next() {
  auto line = next_line();
  if (!line) return std::nullopt;
  if (auto entry = parse_log_line(*line)) {
    last_ = *entry;
    entry->node = node_;
    entry->audit = audit_;
    // Components begin with the node's name.
    if (entry->component == node_)
      entry->component.clear();
    else if (entry->component.starts_with(node_ + "."))
      entry->component.erase(0, node_.size() + 1);
    return entry;
  }
  LogEntry entry;
  entry.at_us = last_.at_us;
  entry.time = last_.time;
  entry.node = node_;
  entry.audit = audit_;
  entry.level = last_.level;
  entry.message = shown(*line);
  return entry;
}

}  // namespace asterism
