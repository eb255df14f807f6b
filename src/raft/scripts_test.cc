// Replays tests/scripts/raft/*.txt. A script is blocks of commands, each followed by "----", the expected output and an
// empty line. RAFT_SCRIPTS_REWRITE=1 writes what happened into the scripts instead of comparing.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "raft/simulated_group.h"

namespace asterism::raft {
namespace {

namespace fs = std::filesystem;

fs::path script_folder() {
  for (const char* at : {"../tests/scripts/raft", "tests/scripts/raft"}) {
    if (fs::is_directory(at)) return at;
  }
  return fs::path(__FILE__).parent_path() / "../../tests/scripts/raft";
}

uint32_t number(std::string_view text) {
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<NodeId> node_list(std::string_view text) {
  std::vector<NodeId> nodes;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    nodes.push_back({number(text.substr(0, comma))});
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return nodes;
}

class Script {
 public:
  std::string run(const std::string& line) {
    out_.clear();
    std::istringstream in(line);
    words_.clear();
    for (std::string word; in >> word;) words_.push_back(word);
    if (words_[0] == "group") {
      make_group();
    } else if (!group_) {
      out_ = "no group\n";
    } else {
      command(words_[0]);
    }
    return out_;
  }
  bool failed() const { return group_ && !group_->violations().empty(); }

 private:
  std::string word(size_t i) const { return i < words_.size() ? words_[i] : ""; }
  uint32_t arg(size_t i) const { return number(word(i)); }
  std::string option(std::string_view name, std::string fallback = "") const {
    for (const std::string& w : words_) {
      if (w.size() > name.size() && w.starts_with(name) && w[name.size()] == '=') return w.substr(name.size() + 1);
    }
    return fallback;
  }
  void say(const std::string& text) { out_ += text + "\n"; }

  void make_group() {
    SimulatedGroup::Options o;
    o.configuration.voters = node_list(option("voters", "1,2,3"));
    o.configuration.learners = node_list(option("learners"));
    std::string priorities = option("priorities");
    for (char& c : priorities) c = c == ':' ? ',' : c;
    std::vector<NodeId> pairs = node_list(priorities);
    for (size_t i = 0; i + 1 < pairs.size(); i += 2)
      o.configuration.priorities.push_back({pairs[i], static_cast<uint8_t>(pairs[i + 1].value)});
    o.nodes = number(option("nodes", std::to_string(o.configuration.members().back().value)));
    o.config.pre_vote = option("pre_vote", "on") == "on";
    o.config.check_quorum = option("check_quorum", "on") == "on";
    o.config.lease_reads = option("lease", "off") == "on";
    o.config.quiesce_after_ticks = number(option("quiesce", "0"));
    o.config.max_inflight_appends = number(option("inflight", "64"));
    o.config.max_append_bytes = number(option("append_bytes", "262144"));
    o.chunk_bytes = number(option("chunk", "16"));
    group_ = std::make_unique<SimulatedGroup>(std::move(o));
    group_->trace = [this](const std::string& text) {
      if (verbose_) say(text);
    };
  }

  bool passes(const Message& m) const { return !cut_.contains({m.from.value, m.to.value}); }

  // One message after another, those of cut links being lost.
  void deliver(size_t most, std::string_view kind = {}) {
    auto& network = group_->network();
    for (size_t i = 0; i < network.size() && most > 0;) {
      if (!kind.empty() && kind != to_string(network[i].kind)) {
        ++i;
        continue;
      }
      Message m = std::move(network[i]);
      network.erase(network.begin() + static_cast<ptrdiff_t>(i));
      if (verbose_) say(describe(m) + (passes(m) ? "" : " LOST"));
      if (passes(m)) group_->deliver(std::move(m));
      --most;
    }
  }

  template <class Input>
  void input(uint32_t id, Input&& apply) {
    if (Raft* raft = group_->node(id).raft.get()) {
      apply(*raft);
      group_->pump(id);
    } else {
      say(fmt::format("{} is down", id));
    }
  }
  template <class T>
  void report(const Result<T>& result) {
    if (!result) say("error " + std::string(to_string(result.error().code)));
  }

  void tick(const std::string& who, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      for (uint32_t id = 1; id <= group_->size(); ++id) {
        if (who != "all" && who != std::to_string(id)) continue;
        if (!group_->node(id).raft) continue;
        group_->node(id).raft->tick();
        group_->pump(id);
      }
      if (option("deliver", "no") == "yes") deliver(SIZE_MAX);
    }
  }

  void state(uint32_t id) {
    SimulatedNode& n = group_->node(id);
    if (!n.raft) return say(fmt::format("{} down", id));
    Raft& r = *n.raft;
    say(fmt::format("{} {} term={} leader={} last={} commit={} applied={}{}{}{}", id, to_string(r.role()), r.term(),
                    r.leader(), r.last_index(), r.commit_index(), r.applied_index(), r.quiet() ? " quiet" : "",
                    r.recovering() ? " recovering" : "", r.lease_valid() ? " lease" : ""));
    for (const Raft::PeerStatus& p : r.progress())
      say(fmt::format("  {} {} match={} next={}{}", p.node, p.state, p.match, p.next,
                      p.recovering ? " recovering" : ""));
  }

  void cut(bool on) {
    for (NodeId a : node_list(word(1))) {
      for (NodeId b : node_list(word(2))) {
        for (auto link : {std::pair(a.value, b.value), std::pair(b.value, a.value)}) {
          if (on)
            cut_.insert(link);
          else
            cut_.erase(link);
        }
      }
    }
  }

  ConfigurationTarget target() const {
    ConfigurationTarget t{.voters = node_list(option("voters")), .learners = node_list(option("learners"))};
    return t;
  }

  void command(const std::string& name) {
    SimulatedGroup& g = *group_;
    if (name == "trace") {
      verbose_ = word(1) == "on";
    } else if (name == "campaign") {
      input(arg(1), [](Raft& r) { r.campaign(); });
    } else if (name == "tick") {
      tick(word(1), words_.size() > 2 ? std::max(arg(2), 1U) : 1);
    } else if (name == "propose") {
      report(g.propose(arg(1), word(2)));
    } else if (name == "deliver") {
      deliver(word(1).empty() ? g.network().size() : SIZE_MAX, word(1));
    } else if (name == "stabilize") {
      deliver(10'000);
    } else if (name == "lose") {
      for (const Message& m : g.network()) say(describe(m) + " LOST");
      g.network().clear();
    } else if (name == "cut" || name == "heal") {
      name == "heal" && words_.size() == 1 ? cut_.clear() : cut(name == "cut");
    } else if (name == "crash") {
      g.crash(arg(1));
    } else if (name == "restart") {
      g.restart(arg(1));
    } else if (name == "wipe") {
      g.wipe(arg(1), arg(2), true);
    } else if (name == "hold") {
      g.node(arg(1)).hold_disk = true;
    } else if (name == "persist") {
      g.node(arg(1)).hold_disk = false;
      g.pump(arg(1));
    } else if (name == "transfer") {
      input(arg(1), [&](Raft& r) { report(r.transfer_leadership({arg(2)})); });
    } else if (name == "change") {
      input(arg(1), [&](Raft& r) { report(r.propose_config_change(target())); });
    } else if (name == "read") {
      if (!g.read(arg(1))) say("refused");
    } else if (name == "compact") {
      g.compact(arg(1));
    } else if (name == "damage") {
      g.node(arg(1)).damage_snapshots = true;
    } else if (name == "unreachable") {
      input(arg(1), [&](Raft& r) { r.report_unreachable({arg(2)}); });
    } else {
      show(name);
    }
  }

  void show(const std::string& name) {
    if (name == "state") {
      for (uint32_t id = 1; id <= group_->size(); ++id) {
        if (word(1).empty() || arg(1) == id) state(id);
      }
    } else if (name == "log") {
      SimulatedNode& n = group_->node(arg(1));
      std::string text = fmt::format("{} from {}:", arg(1), n.first_index());
      for (const Entry& e : n.log) text += fmt::format(" {}/{}", e.index, e.term);
      say(text);
    } else if (name == "configuration") {
      say(describe(group_->node(arg(1)).raft->configuration()));
    } else {
      say("unknown command " + name);
    }
  }

  std::unique_ptr<SimulatedGroup> group_;
  std::set<std::pair<uint32_t, uint32_t>> cut_;
  std::vector<std::string> words_;
  std::string out_;
  bool verbose_ = true;
};

class RaftScripts : public testing::TestWithParam<std::string> {};

TEST_P(RaftScripts, output_is_as_written) {
  fs::path path = script_folder() / (GetParam() + ".txt");
  std::ifstream in(path);
  Script script;
  std::string line, text, commands_output, expected;
  bool rewrite = std::getenv("RAFT_SCRIPTS_REWRITE") != nullptr;
  bool in_expected = false;
  auto finish = [&] {
    if (!in_expected) return;
    if (!rewrite) {
      EXPECT_EQ(expected, commands_output) << "in " << path;
    }
    text += commands_output + "\n";
    commands_output.clear();
    expected.clear();
    in_expected = false;
  };
  while (std::getline(in, line)) {
    if (in_expected && !line.empty()) {
      expected += line + "\n";
    } else if (in_expected) {
      finish();
    } else {
      text += line + "\n";
      if (line == "----")
        in_expected = true;
      else if (!line.empty() && line[0] != '#')
        commands_output += script.run(line);
    }
  }
  finish();
  EXPECT_FALSE(script.failed()) << "an invariant broke in " << path;
  if (rewrite) std::ofstream(path) << text;
}

std::vector<std::string> script_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(script_folder(), error)) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Thesis, RaftScripts, testing::ValuesIn(script_names()), [](const auto& tested) {
  std::string name = tested.param;
  std::ranges::replace_if(name, [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(RaftScripts, enough_scripts) { EXPECT_GE(script_names().size(), 15U); }

}  // namespace
}  // namespace asterism::raft
