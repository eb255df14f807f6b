#include <signal.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <map>

#include "cli/commands.h"
#include "cli/output.h"
#include "node/simulation/run.h"
#include "runtime/real/core.h"
#include "runtime/real/process.h"

namespace asterism {
namespace {

using simulation::RunOptions;
using simulation::RunResult;

constexpr int max_jobs = 64;
constexpr size_t story_lines_shown = 80;  // of a failed run, unless --story asks for all

struct SimOptions {
  uint64_t seed = 1, seeds = 1, step = 1;
  std::optional<uint32_t> nodes;
  uint32_t seconds = 15;
  int jobs = 1;
  std::vector<std::string> plant;
  bool story = false, json = false, until_failure = false, worker = false;
};

double seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }

std::string json_of(const RunResult& result, Duration real) {
  JsonLine line;
  line.number("seed", static_cast<int64_t>(result.seed))
      .text("trace", fmt::format("{:016x}", result.trace))
      .boolean("ok", result.ok())
      .number("ops", static_cast<int64_t>(result.operations))
      .number("faults", static_cast<int64_t>(result.faults))
      .number("nodes", result.nodes)
      .number("refused", static_cast<int64_t>(result.refused))
      .number("unknown", static_cast<int64_t>(result.unknown))
      .raw("simulated_s", fmt::format("{:.3f}", seconds(result.simulated)))
      .raw("real_s", fmt::format("{:.3f}", seconds(real)));
  if (!result.ok()) line.text("failure", result.failure);
  return line.str();
}

/// Runs seeds one after the other and tells the parent: "S " and a line of the story, "R " and a result.
int work(const SimOptions& options) {
  const RealClock clock;
  for (uint64_t seed = options.seed, i = 0; i < options.seeds; ++i, seed += options.step) {
    RunOptions one;
    one.seed = seed;
    one.nodes = options.nodes;
    one.faults_for = std::chrono::seconds(options.seconds);
    for (const std::string& name : options.plant) one.defects.plant(*parse_defect(name));
    const Instant began = clock.now();
    const RunResult result = simulation::run_cluster(one);
    std::string report;
    if (options.story || !result.ok()) {
      size_t begin = 0;
      for (size_t end; (end = result.story.find('\n', begin)) != std::string::npos; begin = end + 1)
        report += fmt::format("S {}\n", result.story.substr(begin, std::min<size_t>(end - begin, 2000)));
    }
    report += fmt::format("R {}\n", json_of(result, clock.now() - began));
    if (!write_descriptor(child_pipe, report)) return 1;
  }
  return 0;
}

/// Runs the seeds in processes of this program, so that one that ends by a broken assertion is a failed seed only.
class SimRunner {
 public:
  explicit SimRunner(SimOptions options) : options_(std::move(options)) {}
  int run();

 private:
  struct Worker {
    uint64_t seed = 0, left = 0;  // what it reports next
    std::unique_ptr<LineReader> reader;
    std::unique_ptr<ProcessWatch> watch;
    std::vector<std::string> story;
    std::optional<ExitStatus> ended;
    bool silent = false;  // its pipe is at the end
  };
  struct Report {
    std::string json;
    std::vector<std::string> story;
  };

  Status start(Worker& worker);
  void take(Worker& worker, std::optional<std::string> line);
  void settle(Worker& worker);
  void put(uint64_t seed, Report report);
  void show(const Report& report);
  void show_progress();
  void summarise();

  SimOptions options_;
  RealCore core_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<uint64_t, Report> reports_;  // not shown yet
  uint64_t next_shown_ = 0, shown_ = 0, failed_ = 0, operations_ = 0, faults_ = 0;
  double simulated_s_ = 0;
  Instant begun_;
  bool broken_ = false;
};

Status SimRunner::start(Worker& worker) {
  worker.ended.reset();
  worker.silent = false;
  worker.story.clear();
  SpawnOptions spawning;
  spawning.program = own_program();
  spawning.with_pipe = true;
  spawning.arguments = {"sim",       "--worker",
                        "--seed",    std::to_string(worker.seed),
                        "--seeds",   std::to_string(worker.left),
                        "--step",    std::to_string(options_.step),
                        "--seconds", std::to_string(options_.seconds)};
  if (options_.nodes) spawning.arguments.insert(spawning.arguments.end(), {"--nodes", std::to_string(*options_.nodes)});
  for (const std::string& defect : options_.plant)
    spawning.arguments.insert(spawning.arguments.end(), {"--plant", defect});
  if (options_.story) spawning.arguments.emplace_back("--story");
  TRY(const Child child, spawn(spawning));
  worker.reader = read_lines(core_, child.pipe,
                             [this, &worker](std::optional<std::string> line) { take(worker, std::move(line)); });
  TRY(worker.watch, watch_process(core_, child.process, [this, &worker](ExitStatus status) {
        worker.ended = status;
        settle(worker);
      }));
  return {};
}

void SimRunner::take(Worker& worker, std::optional<std::string> line) {
  if (!line) {
    worker.silent = true;
    settle(worker);
  } else if (line->starts_with("S ")) {
    worker.story.push_back(line->substr(2));
  } else if (line->starts_with("R ")) {
    const uint64_t seed = worker.seed;
    worker.seed += options_.step;
    --worker.left;
    put(seed, {line->substr(2), std::exchange(worker.story, {})});
  }
}

/// A worker that ended before its last report died of the seed that it was at.
void SimRunner::settle(Worker& worker) {
  if (!worker.ended || !worker.silent || worker.left == 0) return;
  const std::string how = worker.ended->signal ? fmt::format("the process ended by signal {}", *worker.ended->signal)
                                               : std::string("the process ended");
  const uint64_t seed = worker.seed;
  worker.seed += options_.step;
  --worker.left;
  JsonLine line;
  line.number("seed", static_cast<int64_t>(seed)).text("trace", "0000000000000000").boolean("ok", false);
  line.number("ops", 0).number("faults", 0).text("failure", how);
  // From the loop: this may be a callback of what start() replaces.
  core_.wake_with([this, &worker] {
    if (worker.left == 0) return;
    if (Status started = start(worker); !started) {
      print_error(started.error().to_string());
      broken_ = true;
    }
  });
  put(seed, {line.str(), {}});
}

void SimRunner::put(uint64_t seed, Report report) {
  reports_[seed] = std::move(report);
  for (auto it = reports_.find(next_shown_); it != reports_.end(); it = reports_.find(next_shown_)) {
    if (options_.until_failure && failed_ > 0) return;
    show(it->second);
    reports_.erase(it);
    ++next_shown_;
  }
  show_progress();
}

void SimRunner::show(const Report& report) {
  ++shown_;
  const boost::json::object result = boost::json::parse(report.json).as_object();
  const bool ok = result.at("ok").as_bool();
  failed_ += !ok;
  operations_ += static_cast<uint64_t>(result.at("ops").as_int64());
  faults_ += static_cast<uint64_t>(result.at("faults").as_int64());
  const auto number = [&](const char* key) { return result.contains(key) ? result.at(key).to_number<double>() : 0.0; };
  simulated_s_ += number("simulated_s");
  if (options_.json) {
    print_line(report.json);
    if (options_.story)
      for (const std::string& line : report.story) (void)write_descriptor(2, line + "\n");
    return;
  }
  if (is_terminal(1)) (void)write_descriptor(1, "\r\x1b[K");
  print_line(fmt::format("{:>8}  {}  {:>3.0f} nodes {:>7} requests {:>5} faults {:>7.1f} s in {:>6.2f} s  {}",
                         result.at("seed").as_int64(), ok ? "ok    " : bold("FAILED"), number("nodes"),
                         result.at("ops").as_int64(), result.at("faults").as_int64(), number("simulated_s"),
                         number("real_s"), std::string_view(result.at("trace").as_string())));
  if (!ok) print_line(fmt::format("          {}", std::string_view(result.at("failure").as_string())));
  const size_t skipped =
      options_.story || report.story.size() < story_lines_shown ? 0 : report.story.size() - story_lines_shown;
  if (skipped > 0) print_line(dim(fmt::format("          … {} lines before (--story shows all)", skipped)));
  for (size_t i = skipped; i < report.story.size(); ++i) print_line(report.story[i]);
}

void SimRunner::show_progress() {
  if (options_.json || !is_terminal(1) || shown_ == options_.seeds) return;
  constexpr uint64_t width = 40;
  const uint64_t filled = width * shown_ / options_.seeds;
  (void)write_descriptor(1, fmt::format("\r\x1b[K[{:#<{}}{:.<{}}] {} of {} seeds", "", filled, "", width - filled,
                                        shown_, options_.seeds));
}

void SimRunner::summarise() {
  if (options_.json) return;
  const double real_s = seconds(core_.clock().now() - begun_);
  print_line(fmt::format("{} of {} seeds passed; {} requests, {} faults; {:.0f} simulated s in {:.1f} s",
                         shown_ - failed_, shown_, operations_, faults_, simulated_s_, real_s));
}

int SimRunner::run() {
  begun_ = core_.clock().now();
  next_shown_ = options_.seed;
  const auto jobs = std::min<uint64_t>(static_cast<uint64_t>(options_.jobs), options_.seeds);
  options_.step = jobs;
  bool interrupted = false;
  core_.on_signals({SIGINT, SIGTERM}, [&](int) { interrupted = true; });
  for (uint64_t job = 0; job < jobs; ++job) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.seed = options_.seed + job;
    worker.left = (options_.seeds - job + jobs - 1) / jobs;
    if (Status started = start(worker); !started) {
      print_error(started.error().to_string());
      return 1;
    }
  }
  show_progress();
  while (!core_.run_until(
      [&] { return shown_ == options_.seeds || broken_ || interrupted || (options_.until_failure && failed_ > 0); },
      1h)) {
  }
  for (auto& worker : workers_)
    if (worker->watch && !worker->ended) (void)send_signal(worker->watch->process(), SIGTERM);
  workers_.clear();
  summarise();
  return failed_ > 0 || broken_ || interrupted ? 1 : 0;
}

std::string known_defects() {
  std::string names;
  for (size_t i = 0; i < static_cast<size_t>(Defect::count); ++i)
    names += fmt::format("{}{}", i == 0 ? "" : ", ", to_string(static_cast<Defect>(i)));
  return names;
}

}  // namespace

void add_sim(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<SimOptions>();
  CLI::App* sim = app.add_subcommand("sim", "Run whole clusters on virtual time, network and disk, and break them");
  sim->add_option("--seed", options->seed, "The first seed")->capture_default_str();
  sim->add_option("--seeds", options->seeds, "How many seeds")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000'000));
  sim->add_option("--nodes", options->nodes, "Nodes of each cluster; the seed decides otherwise")
      ->check(CLI::Range(3, 9));
  sim->add_option("--seconds", options->seconds, "Virtual seconds of load and faults")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  sim->add_option("--jobs", options->jobs, "Processes side by side")
      ->capture_default_str()
      ->check(CLI::Range(1, max_jobs));
  sim->add_option("--plant", options->plant, "Plant a bug that the checks must find: " + known_defects())
      ->check([](const std::string& name) { return parse_defect(name) ? "" : "no such defect: " + name; });
  sim->add_flag("--until-failure", options->until_failure, "Stop after the first seed that fails");
  sim->add_flag("--story", options->story, "Print all that happened, also in runs that pass");
  sim->add_flag("--json", options->json, "Print one line of JSON for each seed");
  sim->add_option("--step", options->step)->group("");
  sim->add_flag("--worker", options->worker)->group("");
  sim->callback([options, &chosen] {
    chosen = [options] { return options->worker ? work(*options) : SimRunner(*options).run(); };
  });
}

}  // namespace asterism
