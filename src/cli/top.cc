// asterism top: the nodes of a cluster, live.
#include <CLI/CLI.hpp>
#include <csignal>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/top_view.h"

namespace asterism {
namespace {

constexpr Duration answer_limit = 2s;
constexpr Duration once_pause = 1s;

struct TopOptions {
  std::string data = ClusterOptions().data;
  double every_s = 1;
  bool once = false, json = false;
};

class Top {
 public:
  explicit Top(const TopOptions& options)
      : options_(options),
        every_(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.every_s))) {}

  /// Two looks, because rates are of the time between them.
  Status run_once() {
    TRY_STATUS(look());
    wait(once_pause);
    TRY_STATUS(look());
    print_line(options_.json ? view_.json() : view_.frame({terminal_columns(), SIZE_MAX}, false));
    return {};
  }

  Status run_live() {
    // A cluster that is not there is told before the screen goes.
    if (auto nodes = nodes_of_cluster(options_.data); !nodes) return fail(std::move(nodes).error());
    core_.on_signals({SIGINT, SIGTERM, SIGHUP, SIGWINCH}, [this](int signal) {
      if (signal != SIGWINCH) quit_ = true;
      changed_ = true;
    });
    TRY(auto screen, FullScreen::open(core_, [this](char key) { type(key); }));
    while (!quit_) {
      const Instant next = core_.clock().now() + every_;
      TRY_STATUS(look());
      do {
        changed_ = false;
        if (!screen->show(view_.frame(terminal_size(), true))) return {};
        wait(next - core_.clock().now());
      } while (!quit_ && core_.clock().now() < next);
    }
    return {};
  }

 private:
  static size_t terminal_columns() { return is_terminal(1) ? terminal_size().columns : 80; }

  void type(char key) {
    if (key == 'q') quit_ = true;
    changed_ |= quit_ || view_.order_by(key);
  }

  /// Keys and resizes are heard meanwhile; the frame that follows shows what they changed.
  Status look() {
    TRY(std::vector<NodeConfig> nodes, nodes_of_cluster(options_.data));
    StatusQuestion question(core_, std::move(nodes));
    core_.run_until([&] { return question.done() || quit_; }, answer_limit);
    view_.take(question.answers(), core_.clock().now());
    return {};
  }

  void wait(Duration time) {
    if (time > 0ns) core_.run_until([this] { return changed_ || quit_; }, time);
  }

  TopOptions options_;
  Duration every_;
  RealCore core_;
  TopView view_;
  bool quit_ = false, changed_ = false;
};

int run_top(const TopOptions& options) {
  Top top(options);
  const Status done = options.once || options.json || !is_terminal(1) ? top.run_once() : top.run_live();
  if (!done) print_error(done.error().message);
  return done ? 0 : 1;
}

}  // namespace

void add_top(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<TopOptions>();
  CLI::App* top = app.add_subcommand("top", "Watch what the nodes of a cluster on this machine do");
  top->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  top->add_option("--every", options->every_s, "Seconds between two looks")
      ->check(CLI::Range(0.5, 3600.0))
      ->capture_default_str();
  top->add_flag("--once", options->once, "Print what there is after a second and end, as without a terminal");
  top->add_flag("--json", options->json, "Print one line of JSON after a second and end");
  top->footer(
      "up: since when it runs. cpu%: of one processor. mem: physical memory. reads, writes, fail: requests a second\n"
      "that it coordinated. p50, p99: milliseconds that half and 99 of 100 statements of CQL clients took at most.\n"
      "conn: CQL connections. hints: writes that wait for nodes that are down. lag: milliseconds that its event loop\n"
      "was late. disk: bytes of its tables' files. A narrow terminal shows less.\n"
      "Keys: q quit; n c m r w f l d order the nodes by name, cpu, mem, reads, writes, fail, p99, disk.");
  top->callback([options, &chosen] { chosen = [options] { return run_top(*options); }; });
}

}  // namespace asterism
