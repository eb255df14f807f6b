// What asterism top knows of a cluster and how it looks.
#pragma once

#include <deque>
#include <map>

#include "cli/ask_nodes.h"
#include "runtime/real/full_screen.h"

namespace asterism {

struct NodeSample {
  std::string name, state;
  std::optional<double> uptime_s, cpu_percent;  // of one core
  std::optional<double> memory_bytes, disk_bytes;
  std::optional<double> reads_s, writes_s, failures_s;
  std::optional<double> median_ms, slow_ms, lag_ms;
  std::optional<double> connections, hints;
};

enum class TopOrder : char {
  name = 'n',
  cpu = 'c',
  memory = 'm',
  reads = 'r',
  writes = 'w',
  failures = 'f',
  latency = 'l',
  disk = 'd'
};

class TopView {
 public:
  /// Of the last minute, for the line of requests.
  static constexpr Duration history_time = std::chrono::minutes(1);

  /// Takes what the nodes said at that time. Processor time is that since the time before.
  void take(const std::vector<NodeAnswer>& answers, Instant now);
  /// Orders the nodes, the largest first; false where the key names no order.
  bool order_by(char key);

  /// At most `size.rows` lines, each at most `size.columns` wide. `keys`: with a line about them.
  std::string frame(TerminalSize size, bool keys) const;
  std::string json() const;

 private:
  struct Before {
    double cpu_s = 0;
    Instant at;
  };
  void sort();
  std::string cluster_line() const;
  std::string history_line(size_t columns) const;

  std::vector<NodeSample> nodes_;
  std::map<std::string, Before> before_;
  std::deque<std::pair<Instant, double>> history_;
  TopOrder order_ = TopOrder::name;
  std::string cluster_, leader_;
  std::optional<uint64_t> shards_;
  std::optional<boost::json::object> change_;
};

}  // namespace asterism
