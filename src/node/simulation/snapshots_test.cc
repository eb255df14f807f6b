#include "node/snapshots.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "node/simulation/cluster.h"
#include "runtime/io.h"

namespace asterism::simulation {
namespace {

using namespace datastore;
using Made = Result<boost::json::object>;

struct Rig {
  sim::Simulation simulation;
  Verdict verdict;
  JournalChecker checker{verdict};
  SimulatedCluster cluster;

  static ClusterShape shape() {
    ClusterShape out;
    out.tuning.background_compaction = false;
    out.tuning.tokens_per_node = 2;
    return out;
  }
  explicit Rig(uint64_t seed) : simulation(seed), cluster(simulation, shape(), checker) {
    serve();
    Keyspace keyspace;
    keyspace.name = "ks";
    keyspace.replication = {{"class", "SimpleStrategy"}, {"replication_factor", "3"}};
    propose(Schema::create_keyspace(keyspace));
    Table table;
    table.keyspace = "ks";
    table.name = "t";
    table.id = Bytes(16, 'i');
    table.columns = {{0, "k", *DataType::parse("text"), ColumnKind::partition_key, 0, false},
                     {0, "v", *DataType::parse("text"), ColumnKind::regular, 0, false}};
    propose(Schema::create_table(table));
  }
  void serve() {
    EXPECT_TRUE(simulation.run_until([&] { return cluster.all_serving(); }, 120s));
    simulation.run_for(3s);
  }
  /// On that node; nothing where the node ends before.
  template <class T>
  std::shared_ptr<std::optional<T>> begin(size_t node, Task<T> task) {
    auto out = std::make_shared<std::optional<T>>();
    cluster.process(node)->spawn([](Task<T> inner, std::shared_ptr<std::optional<T>> into) -> Task<void> {
      into->emplace(co_await std::move(inner));
    }(std::move(task), out));
    return out;
  }
  template <class T>
  T run(size_t node, Task<T> task) {
    auto out = begin(node, std::move(task));
    EXPECT_TRUE(simulation.run_until([&] { return out->has_value(); }, 600s));
    return std::move(**out);
  }
  Instant soon(size_t node) { return cluster.node_machine(node).executor().now() + 20s; }
  void propose(Bytes command) {
    auto done = run(0, cluster.serving(0)->metadata().propose(Schema::section_name, std::move(command), soon(0)));
    ASSERT_TRUE(done) << done.error().to_string();
  }
  void write(const std::string& key) {
    Node& node = *cluster.serving(0);
    Mutation mutation(node.schema().table("ks", "t")->number, 7, key);
    Row row;
    row.has_marker = true;
    row.marker.timestamp_us = 1;
    mutation.add_row("", row);
    const auto done =
        run(0, node.tables().write(node.schema().table("ks", "t"), std::move(mutation), Consistency::quorum, soon(0)));
    ASSERT_TRUE(done);
  }
  bool whole(size_t node, const std::string& name) {
    return cluster.node_machine(node)
        .disk()
        .store()
        .find(fmt::format("snapshots/{}/{}", name, manifest_file))
        .has_value();
  }
  /// Whether a whole and undamaged copy has the row.
  Task<bool> holds(size_t node, std::string name, std::string key) {
    sim::SimDisk& disk = cluster.node_machine(node).disk();
    const std::string folder = fmt::format("snapshots/{}", name);
    auto file = co_await open(disk, folder + "/" + manifest_file, OpenMode::read);
    auto manifest = SnapshotManifest::parse((co_await read_at(**file, 0, (*file)->size())).value());
    EXPECT_TRUE(manifest.has_value());
    EXPECT_TRUE((co_await KeyValueStore::verify_copy(disk, folder + "/store", manifest->files)).value().empty());
    KeyValueStore::Options options;
    options.path = folder + "/store";
    options.background_compaction = false;
    options.merge = merge_function();
    auto store = co_await KeyValueStore::open_copy(disk, options);
    EXPECT_TRUE(store.has_value());
    const Bytes row = partition_prefix(cluster.serving(node)->schema().table("ks", "t")->number, 7, key) + '\x02';
    co_return (*store)->get(row).value().has_value();
  }
};

TEST(Snapshots, HoldWhatWasAcknowledgedAndSurviveTheLossOfPowerOnAllNodes) {
  Rig rig(1);
  rig.write("before");
  const Made made = rig.run(1, rig.cluster.serving(1)->snapshots().create("monday"));
  ASSERT_TRUE(made) << made.error().to_string();
  rig.write("after");
  for (size_t node = 0; node < 3; ++node) rig.cluster.node_machine(node).crash(sim::Crash::power);
  for (size_t node = 0; node < 3; ++node) rig.cluster.node_machine(node).start();
  rig.serve();
  size_t before = 0, after = 0;
  for (size_t node = 0; node < 3; ++node) {
    ASSERT_TRUE(rig.whole(node, "monday"));
    before += rig.run(node, rig.holds(node, "monday", "before"));
    after += rig.run(node, rig.holds(node, "monday", "after"));
  }
  EXPECT_GE(before, 2u);
  EXPECT_EQ(after, 0u);
  auto again = rig.run(0, rig.cluster.serving(0)->snapshots().create("monday"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::already_exists);
  EXPECT_TRUE(rig.whole(2, "monday")) << "one that fails leaves another alone";
  EXPECT_TRUE(rig.run(0, rig.cluster.serving(0)->snapshots().remove("monday")));
  for (size_t node = 0; node < 3; ++node) EXPECT_FALSE(rig.whole(node, "monday"));
  EXPECT_EQ(rig.run(0, rig.cluster.serving(0)->snapshots().remove("monday")).error().code, ErrorCode::not_found);
}

TEST(Snapshots, WhereANodeDiesMeanwhileAllHaveItOrTheOthersHaveNone) {
  size_t done = 0, failed = 0;
  Rig calm(21);
  calm.write("row");
  const Instant began = calm.simulation.now();
  EXPECT_TRUE(calm.run(0, calm.cluster.serving(0)->snapshots().create("x")));
  const Duration usual = calm.simulation.now() - began;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rig rig(seed);
    rig.write("row");
    const auto made = rig.begin(0, rig.cluster.serving(0)->snapshots().create("x"));
    rig.simulation.run_for(sim::random_between(rig.simulation.random(), 0ms, usual + usual / 10));
    rig.cluster.node_machine(1).crash(seed % 2 == 0 ? sim::Crash::power : sim::Crash::kill);
    EXPECT_TRUE(rig.simulation.run_until([&] { return made->has_value(); }, 900s)) << seed;
    rig.cluster.node_machine(1).start();
    rig.serve();
    if (const Made& outcome = **made; outcome) {
      ++done;
      for (size_t node = 0; node < 3; ++node) EXPECT_TRUE(rig.whole(node, "x")) << seed << " " << node;
    } else {
      ++failed;
      EXPECT_FALSE(rig.whole(0, "x") || rig.whole(2, "x")) << seed;
      EXPECT_NE(outcome.error().message.find("n2"), std::string::npos) << outcome.error().message;
      // What the node that died kept is shown, and goes when it is told to.
      if (rig.whole(1, "x")) {
        const auto listed = rig.run(2, rig.cluster.serving(2)->snapshots().list());
        EXPECT_EQ(listed->at("snapshots").as_array().size(), 1u);
        EXPECT_TRUE(rig.run(2, rig.cluster.serving(2)->snapshots().remove("x")));
      }
      const Made again = rig.run(2, rig.cluster.serving(2)->snapshots().create("x"));
      EXPECT_TRUE(again) << again.error().to_string();
    }
  }
  fmt::print("{} were made, {} failed; one takes {} us\n", done, failed, usual / 1us);
  EXPECT_GT(failed, 2u);
  EXPECT_GT(done, 0u);
}

TEST(Snapshots, AreRefusedWhileANodeIsDown) {
  Rig rig(5);
  rig.cluster.node_machine(2).crash(sim::Crash::kill);
  rig.simulation.run_for(10s);
  const Made refused = rig.run(0, rig.cluster.serving(0)->snapshots().create("x"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("n3 is down"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(rig.cluster.node_machine(0).disk().store().find("snapshots/x").has_value());
  const Made named = rig.run(0, rig.cluster.serving(0)->snapshots().create("../x"));
  EXPECT_EQ(named.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace asterism::simulation
