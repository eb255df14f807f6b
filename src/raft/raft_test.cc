// Many seeds of a group under loss, duplication, reordering, partitions, crashes, wiped disks and membership changes;
// and the same with planted bugs, which the checks must find.
#include "raft/raft.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "raft/simulated_group.h"

namespace asterism::raft {
namespace {

struct Weather {
  double loss = 0.05, duplication = 0.05, crash = 0.004, partition = 0.006, wipe = 0;
  bool membership = false;
  uint32_t steps = 3000;
};

class Storm {
 public:
  Storm(uint64_t seed, SimulatedGroup::Options options, Weather weather)
      : random_(seed), weather_(weather), group_([&] {
          options.seed = seed;
          return options;
        }()) {
    group_.transmit = [this](Message m) { transmit(std::move(m)); };
    for (uint32_t id = 1; id <= group_.size(); ++id) group_.node(id).hold_disk = true;
  }

  SimulatedGroup& group() { return group_; }
  bool broken() const { return !group_.violations().empty(); }

  void rage() {
    for (uint32_t i = 0; i < weather_.steps && !broken(); ++i) step();
  }

  // Everything works again: the group must elect, commit and bring everyone to the same state.
  bool heals() {
    cut_.clear();
    weather_.loss = weather_.duplication = 0;
    for (uint32_t id = 1; id <= group_.size(); ++id) {
      if (!group_.node(id).raft) group_.restart(id);
      group_.node(id).hold_disk = false;
      group_.pump(id);
    }
    uint64_t proposed = 0;
    for (uint32_t round = 0; round < 400 && !broken(); ++round) {
      for (uint32_t id = 1; id <= group_.size(); ++id) tick(id);
      while (!group_.network().empty() && !broken()) deliver_one();
      uint32_t leader = group_.leader();
      if (leader != 0 && round % 40 == 20) proposed += group_.propose(leader, "healed").has_value() ? 1 : 0;
      if (proposed >= 2 && settled()) return true;
    }
    return false;
  }

  std::string state() {
    std::string text;
    for (uint32_t id = 1; id <= group_.size(); ++id) {
      Raft& r = *group_.node(id).raft;
      text += fmt::format("{} {} term={} leader={} last={} commit={} applied={} recovering={} {}\n", id,
                          to_string(r.role()), r.term(), r.leader(), r.last_index(), r.commit_index(),
                          r.applied_index(), r.recovering(), describe(r.configuration()));
      for (const Raft::PeerStatus& p : r.progress())
        text += fmt::format("  {} {} match={} next={}\n", p.node, p.state, p.match, p.next);
    }
    return text;
  }

 private:
  double unit() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
  uint32_t below(size_t bound) { return static_cast<uint32_t>(random_() % bound); }
  uint32_t any() { return 1 + below(group_.size()); }

  void transmit(Message m) {
    if (cut_.contains({m.from.value, m.to.value}) || unit() < weather_.loss) return;
    if (unit() < weather_.duplication) group_.network().push_back(m);
    group_.network().push_back(std::move(m));
  }

  void deliver_one() {
    auto& network = group_.network();
    size_t at = unit() < 0.7 ? 0 : below(network.size());
    Message m = std::move(network[at]);
    network.erase(network.begin() + static_cast<ptrdiff_t>(at));
    group_.deliver(std::move(m));
  }

  void tick(uint32_t id) {
    Raft* raft = group_.node(id).raft.get();
    if (raft == nullptr) return;
    // What a host owes to groups at rest.
    uint32_t leader = raft->leader().value;
    if (raft->quiet() && leader != 0 && !group_.node(leader).raft) raft->report_unreachable({leader});
    raft->tick();
    group_.pump(id);
  }

  void step() {
    // Ticks come at one rate everywhere, as leases need.
    if (unit() < 0.25) {
      for (uint32_t id = 1; id <= group_.size(); ++id) tick(id);
    }
    size_t deliveries = below(8);
    for (size_t i = 0; i < deliveries && !group_.network().empty(); ++i) deliver_one();
    uint32_t id = any();
    if (unit() < 0.7) {
      group_.persist(id);
      group_.pump(id);
    }
    if (unit() < 0.2) (void)group_.propose(any(), std::to_string(random_() % 1000));
    if (unit() < 0.2) group_.read(any());
    if (unit() < 0.01) group_.compact(any());
    if (unit() < 0.005 && group_.leader() != 0 && group_.node(group_.leader()).raft) {
      uint32_t leader = group_.leader();
      (void)group_.node(leader).raft->transfer_leadership({any()});
      group_.pump(leader);
    }
    if (unit() < 0.004) {
      if (Raft* raft = group_.node(id).raft.get()) {
        raft->report_unreachable({any()});
        group_.pump(id);
      }
    }
    misfortune();
    if (weather_.membership && unit() < 0.02) change();
  }

  void misfortune() {
    uint32_t id = any();
    if (unit() < weather_.crash) group_.crash(id);
    if (unit() < 0.05 && !group_.node(id).raft) group_.restart(id);
    if (unit() < weather_.partition) {
      // One node alone, or any set of one-way cuts.
      cut_.clear();
      uint32_t alone = unit() < 0.5 ? any() : 0;
      for (uint32_t a = 1; a <= group_.size(); ++a) {
        for (uint32_t b = 1; b <= group_.size(); ++b) {
          if (alone == 0 ? unit() < 0.4 : a == alone || b == alone) cut_.insert({a, b});
        }
      }
    }
    if (unit() < 0.01) cut_.clear();
    if (unit() < weather_.wipe) wipe();
  }

  // At most one node is without its memory at a time: more is beyond what a quorum of copies can survive.
  void wipe() {
    for (uint32_t id = 1; id <= group_.size(); ++id) {
      SimulatedNode& n = group_.node(id);
      if (!n.raft || n.raft->recovering() || n.hard_state.recovering) return;
    }
    bool announced = group_.options().bug != PlantedBug::silent_amnesia;
    group_.wipe(any(), ++life_, announced);
  }

  void change() {
    uint32_t leader = group_.leader();
    if (leader == 0) return;
    ConfigurationTarget target;
    for (uint32_t id = 1; id <= group_.size(); ++id) {
      uint32_t dice = below(4);
      if (dice < 2) target.voters.push_back({id});
      if (dice == 2) target.learners.push_back({id});
    }
    if (target.voters.size() < 2) return;
    (void)group_.node(leader).raft->propose_config_change(std::move(target));
    group_.pump(leader);
  }

  bool settled() {
    uint32_t leader = group_.leader();
    if (leader == 0) return false;
    Raft& raft = *group_.node(leader).raft;
    if (raft.configuration().joint() || raft.commit_index() != raft.last_index()) return false;
    for (NodeId id : raft.configuration().members()) {
      SimulatedNode& n = group_.node(id.value);
      if (n.applied != raft.last_index() || n.raft->recovering()) return false;
    }
    return true;
  }

  std::mt19937_64 random_;
  Weather weather_;
  SimulatedGroup group_;
  std::set<std::pair<uint32_t, uint32_t>> cut_;
  uint64_t life_ = 0;
};

SimulatedGroup::Options options(uint32_t nodes, uint32_t voters, uint64_t seed) {
  SimulatedGroup::Options o;
  o.nodes = nodes;
  for (uint32_t id = 1; id <= voters; ++id) o.configuration.voters.push_back({id});
  o.config.pre_vote = seed % 4 != 0;
  o.config.lease_reads = seed % 3 != 0;
  o.config.check_quorum = o.config.lease_reads || seed % 2 == 0;
  o.config.max_inflight_appends = 1 + seed % 5;
  o.config.max_append_bytes = 64 + seed % 100;
  o.config.max_apply_bytes = 64 + seed % 100;
  o.config.quiesce_after_ticks = seed % 7 == 0 ? 3 : 0;
  if (seed % 5 == 0) o.configuration.priorities = {{NodeId{1}, 2}, {NodeId{2}, 1}};
  return o;
}

void expect_survives(uint32_t seeds, uint32_t nodes, uint32_t voters, Weather weather) {
  // RAFT_SEEDS=n runs n times as many.
  if (const char* more = std::getenv("RAFT_SEEDS")) seeds *= static_cast<uint32_t>(std::max(1, std::atoi(more)));
  uint64_t reads = 0, applied = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Storm storm(seed, options(nodes, voters, seed), weather);
    storm.rage();
    bool healed = storm.heals();
    for (const std::string& violation : storm.group().violations())
      ADD_FAILURE() << "seed " << seed << ": " << violation;
    ASSERT_TRUE(healed) << "seed " << seed << " makes no progress\n" << storm.state();
    reads += storm.group().reads_answered();
    applied += storm.group().highest_applied().value;
  }
  EXPECT_GT(reads, seeds * 5);
  EXPECT_GT(applied, seeds * 20);
}

TEST(RaftStorm, three_nodes) { expect_survives(80, 3, 3, {}); }
TEST(RaftStorm, five_nodes) { expect_survives(40, 5, 5, {}); }
TEST(RaftStorm, heavy_loss) { expect_survives(40, 3, 3, {.loss = 0.3, .duplication = 0.2}); }
TEST(RaftStorm, chapter_4_membership_changes) {
  expect_survives(60, 5, 3, {.crash = 0.002, .partition = 0.003, .membership = true});
}
TEST(RaftStorm, wiped_disks_recover) { expect_survives(60, 3, 3, {.wipe = 0.004}); }
TEST(RaftStorm, wiped_disks_recover_among_five) { expect_survives(40, 5, 5, {.wipe = 0.004}); }

// The first seed whose run breaks an invariant; 0 where none does.
uint64_t found_after(PlantedBug bug, uint32_t nodes, Weather weather, uint64_t seeds) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SimulatedGroup::Options o = options(nodes, nodes, seed);
    o.bug = bug;
    Storm storm(seed, std::move(o), weather);
    storm.rage();
    if (!storm.broken()) (void)storm.heals();
    if (storm.broken()) return seed;
  }
  return 0;
}

constexpr Weather rough{.loss = 0.15, .crash = 0.02, .partition = 0.02, .steps = 6000};

TEST(RaftPlantedBug, forgotten_vote_is_found) { EXPECT_NE(found_after(PlantedBug::forget_vote, 3, rough, 200), 0U); }
TEST(RaftPlantedBug, section_5_1_accepting_stale_terms_is_found) {
  EXPECT_NE(found_after(PlantedBug::accept_stale_term, 3, rough, 200), 0U);
}
TEST(RaftPlantedBug, lying_disk_is_found) { EXPECT_NE(found_after(PlantedBug::lying_disk, 3, rough, 50), 0U); }
TEST(RaftPlantedBug, short_commit_quorum_is_found) {
  EXPECT_NE(found_after(PlantedBug::forged_append_ack, 3, rough, 50), 0U);
}
TEST(RaftPlantedBug, forged_vote_is_found) { EXPECT_NE(found_after(PlantedBug::forged_vote, 3, rough, 50), 0U); }
TEST(RaftPlantedBug, section_3_6_2_counting_old_terms_is_found) {
  EXPECT_NE(found_after(PlantedBug::count_old_terms, 5, rough, 200), 0U);
}
TEST(RaftPlantedBug, silent_amnesia_is_found) {
  Weather weather = rough;
  weather.wipe = 0.01;
  EXPECT_NE(found_after(PlantedBug::silent_amnesia, 3, weather, 50), 0U);
}
TEST(RaftPlantedBug, section_6_4_forged_heartbeat_gives_stale_reads) {
  EXPECT_NE(found_after(PlantedBug::forged_heartbeat, 3, rough, 50), 0U);
}

TEST(Raft, idle_group_is_small) {
  SimulatedGroup::Options o = options(3, 3, 1);
  SimulatedGroup group(std::move(o));
  group.node(1).raft->campaign();
  group.pump(1);
  while (!group.network().empty()) {
    Message m = group.network().front();
    group.network().pop_front();
    group.deliver(std::move(m));
  }
  ASSERT_EQ(group.leader(), 1U);
  for (uint32_t id = 1; id <= 3; ++id) EXPECT_LT(group.node(id).raft->memory_bytes(), 2048U);
}

}  // namespace
}  // namespace asterism::raft
