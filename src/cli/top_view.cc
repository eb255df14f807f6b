#include "cli/top_view.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <functional>

#include "cli/members.h"
#include "cli/output.h"

namespace asterism {
namespace {

std::optional<double> number_at(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find_member(object, path);
  if (!value || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

/// At most five characters.
std::string amount(double value) {
  if (value < 0.05) return "0";
  if (value < 9.95) return fmt::format("{:.1f}", value);
  for (const char* unit : {"", "k", "M", "G", "T"}) {
    if (value < 999.5) return fmt::format("{:.{}f}{}", value, *unit && value < 9.95 ? 1 : 0, unit);
    value /= 1000;
  }
  return "many";
}

std::string bytes(double value) {
  for (const char* unit : {"B", "K", "M", "G", "T"}) {
    if (value < 999.5) return fmt::format("{:.{}f}{}", value, *unit != 'B' && value < 9.95 ? 1 : 0, unit);
    value /= 1024;
  }
  return "many";
}

std::string milliseconds(double value) {
  return value < 0.005 ? "0" : value < 9.995 ? fmt::format("{:.2f}", value) : amount(value);
}

std::string age(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f}s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f}m", seconds / 60);
  return seconds < 360'000 ? fmt::format("{:.0f}h", seconds / 3600) : fmt::format("{:.0f}d", seconds / 86'400);
}

std::string count(double value) { return value < 999.5 ? fmt::format("{:.0f}", value) : amount(value); }

struct Column {
  const char* name;
  size_t width;
  int rank;  // the highest is left out first where there is no room
  const char* json;
  std::string (*text)(double);
  std::optional<double> NodeSample::* value;
};

constexpr Column columns[] = {
    {"up", 5, 1, "uptime_s", age, &NodeSample::uptime_s},
    {"cpu%", 5, 0, "cpu_percent", amount, &NodeSample::cpu_percent},
    {"mem", 5, 0, "resident_bytes", bytes, &NodeSample::memory_bytes},
    {"reads", 6, 0, "reads_s", amount, &NodeSample::reads_s},
    {"writes", 7, 0, "writes_s", amount, &NodeSample::writes_s},
    {"fail", 5, 0, "failures_s", amount, &NodeSample::failures_s},
    {"p50", 6, 0, "median_ms", milliseconds, &NodeSample::median_ms},
    {"p99", 6, 0, "slow_ms", milliseconds, &NodeSample::slow_ms},
    {"conn", 5, 4, "connections", count, &NodeSample::connections},
    {"hints", 6, 3, "hints", count, &NodeSample::hints},
    {"lag", 5, 5, "loop_lag_ms", milliseconds, &NodeSample::lag_ms},
    {"disk", 6, 2, "store_bytes", bytes, &NodeSample::disk_bytes},
};
constexpr size_t state_width = 8;

std::vector<const Column*> columns_for(size_t room) {
  std::vector<const Column*> chosen;
  size_t width = 0;
  for (const Column& column : columns) {
    chosen.push_back(&column);
    width += column.width;
  }
  while (width > room && !chosen.empty()) {
    auto least = std::ranges::max_element(chosen, {}, &Column::rank);
    width -= (*least)->width;
    chosen.erase(least);
  }
  return chosen;
}

/// The line, cut behind so many characters; what colours it has takes no room.
std::string clipped(std::string_view line, size_t width) {
  std::string out;
  size_t shown = 0;
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '\x1b') {
      const size_t end = std::min(line.find('m', i), line.size() - 1);
      out += line.substr(i, end - i + 1);
      i = end + 1;
      continue;
    }
    size_t size = 1;
    while (i + size < line.size() && (static_cast<unsigned char>(line[i + size]) & 0xc0) == 0x80) ++size;
    if (shown < width) out += line.substr(i, size);
    ++shown;
    i += size;
  }
  return out;
}

Colour colour_of(const std::string& state) {
  return state == "up" ? Colour::green : state == "down" || state == "left" ? Colour::red : Colour::yellow;
}

std::string bar(double share, size_t width) {
  const auto filled = static_cast<size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  return fmt::format("[{:#<{}}{:.<{}}]", "", filled, "", width - filled);
}

}  // namespace

void TopView::take(const std::vector<NodeAnswer>& answers, Instant now) {
  const boost::json::object* fresh = freshest(answers);
  nodes_.clear();
  double requests = 0;
  for (const NodeAnswer& answer : answers) {
    NodeSample& node = nodes_.emplace_back(answer.config.name, state_word(answer, fresh));
    if (!answer.status) {
      before_.erase(node.name);
      continue;
    }
    const boost::json::object& status = *answer.status;
    const std::string phase = text_member(status, "state");
    if (phase == "rebuilding" || phase == "full") node.state = phase == "full" ? phase : "rebuild";
    node.uptime_s = number_at(status, "uptime_s");
    node.memory_bytes = number_at(status, "load.resident_bytes");
    node.disk_bytes = number_at(status, "load.store_bytes");
    node.reads_s = number_at(status, "load.reads_s");
    node.writes_s = number_at(status, "load.writes_s");
    node.failures_s = number_at(status, "load.failures_s");
    node.median_ms = number_at(status, "load.median_ms");
    node.slow_ms = number_at(status, "load.slow_ms");
    node.lag_ms = number_at(status, "load.loop_lag_ms");
    node.connections = number_at(status, "load.connections");
    node.hints = number_at(status, "load.hints");
    requests += node.reads_s.value_or(0) + node.writes_s.value_or(0);
    const auto cpu_s = number_at(status, "load.cpu_s");
    if (!cpu_s) continue;
    const auto known = before_.find(node.name);
    // Less than before: another process.
    if (known != before_.end() && now > known->second.at && *cpu_s >= known->second.cpu_s)
      node.cpu_percent =
          (*cpu_s - known->second.cpu_s) / std::chrono::duration<double>(now - known->second.at).count() * 100;
    before_[node.name] = {*cpu_s, now};
  }
  history_.emplace_back(now, requests);
  while (now - history_.front().first > history_time) history_.pop_front();
  cluster_ = answers.empty() ? std::string() : answers.front().config.cluster_name;
  const boost::json::value* leader = fresh ? find_member(*fresh, "metadata.leader") : nullptr;
  leader_ = leader && leader->is_string() ? printable(std::string_view(leader->get_string())) : std::string();
  shards_.reset();
  if (auto total = fresh ? number_at(*fresh, "shards.total") : std::nullopt; total && *total >= 0 && *total < 1e15)
    shards_ = static_cast<uint64_t>(*total);
  change_ = change_under_way(answers);
  sort();
}

bool TopView::order_by(char key) {
  if (!std::string_view("ncmrwfld").contains(key)) return false;
  order_ = static_cast<TopOrder>(key);
  sort();
  return true;
}

void TopView::sort() {
  std::optional<double> NodeSample::* by = nullptr;
  switch (order_) {
    case TopOrder::name:
      break;
    case TopOrder::cpu:
      by = &NodeSample::cpu_percent;
      break;
    case TopOrder::memory:
      by = &NodeSample::memory_bytes;
      break;
    case TopOrder::reads:
      by = &NodeSample::reads_s;
      break;
    case TopOrder::writes:
      by = &NodeSample::writes_s;
      break;
    case TopOrder::failures:
      by = &NodeSample::failures_s;
      break;
    case TopOrder::latency:
      by = &NodeSample::slow_ms;
      break;
    case TopOrder::disk:
      by = &NodeSample::disk_bytes;
      break;
  }
  // n9 before n10.
  std::ranges::sort(nodes_, [&](const NodeSample& a, const NodeSample& b) {
    if (by && a.*by != b.*by) return (a.*by).value_or(-1) > (b.*by).value_or(-1);
    return std::pair(a.name.size(), a.name) < std::pair(b.name.size(), b.name);
  });
}

std::string TopView::cluster_line() const {
  const auto up = std::ranges::count(nodes_, "up", &NodeSample::state);
  std::string line = fmt::format("{}  {} of {} nodes up", bold(printable(cluster_)), up, nodes_.size());
  if (shards_) line += fmt::format("   {} {}", dim("shards"), *shards_);
  return line + fmt::format("   {} {}", dim("metadata leader"), leader_.empty() ? "none" : leader_);
}

std::string TopView::history_line(size_t width) const {
  constexpr const char* steps[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::string tail = fmt::format(" {} now", amount(history_.empty() ? 0 : history_.back().second));
  constexpr std::string_view head = "requests/s ";
  const size_t room = width > head.size() + tail.size() ? width - head.size() - tail.size() : 0;
  const size_t shown = std::min(room, history_.size());
  double most = 0;
  for (const auto& [at, requests] : history_) most = std::max(most, requests);
  std::string line = dim(head);
  for (size_t i = history_.size() - shown; i < history_.size(); ++i)
    line += steps[most < 0.05 ? 0 : static_cast<size_t>(std::lround(history_[i].second / most * 7))];
  return line + tail;
}

std::string TopView::frame(TerminalSize size, bool keys) const {
  std::vector<std::string> lines{cluster_line()};
  if (change_) {
    const double total = number_at(*change_, "shards").value_or(0), moving = number_at(*change_, "moving").value_or(0);
    lines.push_back(fmt::format("{} {}", bar(total > 0 ? 1 - moving / total : 1, 20), describe_change(*change_)));
  }
  if (history_.size() > 1) lines.push_back(history_line(size.columns));
  size_t name_width = 5;
  for (const NodeSample& node : nodes_) name_width = std::max(name_width, node.name.size() + 1);
  const size_t fixed = name_width + state_width;
  const auto chosen = columns_for(size.columns > fixed ? size.columns - fixed : 0);
  std::string header = fmt::format("{:<{}}{:<{}}", "node", name_width, "state", state_width);
  for (const Column* column : chosen) header += fmt::format("{:>{}}", column->name, column->width);
  lines.push_back(dim(header));
  const size_t below = keys ? 1 : 0;
  const size_t room = size.rows > lines.size() + below ? size.rows - lines.size() - below : 0;
  // One line is for saying that there are more.
  const size_t rows = nodes_.size() <= room ? nodes_.size() : room - std::min<size_t>(room, 1);
  for (size_t i = 0; i < rows; ++i) {
    const NodeSample& node = nodes_[i];
    std::string row = fmt::format("{:<{}}{}", node.name, name_width,
                                  coloured(fmt::format("{:<{}}", node.state, state_width), colour_of(node.state)));
    for (const Column* column : chosen) {
      const std::optional<double>& value = node.*column->value;
      row += fmt::format("{:>{}}", value ? column->text(*value) : "-", column->width);
    }
    lines.push_back(std::move(row));
  }
  if (rows < nodes_.size() && room > 0) lines.push_back(dim(fmt::format("and {} more nodes", nodes_.size() - rows)));
  if (keys) {
    while (lines.size() + 1 < size.rows) lines.emplace_back();
    lines.push_back(dim("q quit  sort by: n name c cpu m mem r reads w writes f fail l p99 d disk"));
  }
  if (lines.size() > size.rows) lines.resize(size.rows);
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + clipped(line, size.columns);
  return text;
}

std::string TopView::json() const {
  boost::json::array nodes;
  double requests = 0;
  for (const NodeSample& node : nodes_) {
    boost::json::object out{{"name", node.name}, {"state", node.state}};
    for (const Column& column : columns) {
      const std::optional<double>& value = node.*column.value;
      out[column.json] = value ? boost::json::value(*value) : boost::json::value();
    }
    requests += node.reads_s.value_or(0) + node.writes_s.value_or(0);
    nodes.push_back(std::move(out));
  }
  boost::json::object line{{"cluster", cluster_},
                           {"shards", shards_ ? boost::json::value(*shards_) : boost::json::value()},
                           {"leader", leader_.empty() ? boost::json::value() : boost::json::value(leader_)},
                           {"requests_s", requests},
                           {"nodes", std::move(nodes)}};
  if (change_) line["change"] = *change_;
  return boost::json::serialize(line);
}

}  // namespace asterism
