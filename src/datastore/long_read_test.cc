// Long reads beside short ones, on a replica and through a coordinator.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

/// A read that takes more than one slice, on the first machine, and short ones beside it.
struct LongRead : testing::Test {
  SimulatedReplicas cluster;
  SimulatedServices& n = cluster.node(0);
  sim::Machine& machine = cluster.machine(0);
  std::vector<std::string> done;
  TaskGroup tasks{machine.executor()};

  static constexpr int rows = 1500;

  LongRead() {
    std::vector<Bytes> mutations;
    for (int i = 0; i < rows; ++i) {
      const std::string key = fmt::format("key{}", i);
      Mutation mutation(number(), SimulatedReplicas::token(key), key);
      Row row;
      row.has_marker = true;
      row.marker.timestamp_us = 1;
      mutation.add_row("", row);
      mutations.push_back(std::move(mutation).take());
    }
    EXPECT_TRUE(cluster.run(0, n.replica.write_all(std::move(mutations))));
  }
  uint32_t number() { return n.schema.table("ks", "t")->number; }
  ReadCommand everything() {
    ReadCommand command;
    command.table = number();
    command.single = false;
    return command;
  }
  ReadCommand one_key() {
    ReadCommand command;
    command.table = number();
    command.token = SimulatedReplicas::token("key7");
    command.partition_key = "key7";
    command.slices = {{}};
    command.whole_keys = true;
    return command;
  }
  RequestView view() {
    RequestView of{n.metadata.applied_index(), {}};
    for (const auto& [id, shard] : n.cluster.shards()) of.shards.emplace_back(id, shard.epoch);
    return of;
  }
  void spawn(std::string name, ReadCommand command, Consistency level) {
    tasks.spawn([](LongRead& self, std::string as, ReadCommand wanted, Consistency at) -> Task<void> {
      auto page = co_await self.n.coordinator.read(self.n.schema.table("ks", "t"), std::move(wanted), at,
                                                   self.machine.executor().now() + 2s);
      EXPECT_TRUE(page) << page.error().message;
      self.done.push_back(std::move(as));
    }(*this, std::move(name), std::move(command), level));
  }
  Status finish(ReplicaRead& reading, RequestView of, Instant deadline) {
    return cluster.run(0,
                       [](SimulatedServices& at, ReplicaRead& read, RequestView seen, Instant until) -> Task<Status> {
                         co_return co_await at.service.finish_read(read, seen, until);
                       }(n, reading, std::move(of), deadline));
  }
};

TEST_F(LongRead, ShortOnesThatComeLaterOvertakeIt) {
  for (const Consistency level : {Consistency::one, Consistency::quorum}) {
    done.clear();
    for (int i = 0; i < 3; ++i) spawn("long", everything(), level);
    for (int i = 0; i < 3; ++i) spawn("short", one_key(), Consistency::one);
    ASSERT_TRUE(cluster.simulation.run_until([&] { return done.size() == 6; }, 10s));
    EXPECT_EQ(done, (std::vector<std::string>{"short", "short", "short", "long", "long", "long"}));
  }
}

TEST_F(LongRead, EndsWhereItsTableGoesInTheMiddle) {
  const ReadCommand command = everything();
  ReplicaRead reading = n.service.reading(command);
  ASSERT_FALSE(*n.service.begin_read(reading));
  cluster.propose(Schema::section_name, Schema::drop_table("ks", "t"));
  EXPECT_EQ(finish(reading, {}, Instant::never()).error().code, ErrorCode::not_found);
  EXPECT_EQ(n.service.begin_read(reading).error().code, ErrorCode::not_found);
}

TEST_F(LongRead, EndsWhereItsShardMovesOrItsTimeIsUp) {
  const ReadCommand command = everything();
  ReplicaRead reading = n.service.reading(command);
  ASSERT_FALSE(*n.service.begin_read(reading));
  EXPECT_EQ(finish(reading, view(), machine.executor().now()).error().code, ErrorCode::timeout);
  RequestView earlier = view();
  ASSERT_FALSE(earlier.shards.empty());
  --earlier.shards.back().second.value;
  EXPECT_EQ(finish(reading, earlier, Instant::never()).error().code, ErrorCode::wrong_epoch);
  ASSERT_TRUE(finish(reading, view(), Instant::never()));
  const auto result = ReadResult::decode(std::move(reading).take());
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->complete);
  EXPECT_EQ(result->partitions.size(), size_t{rows});
}

TEST_F(LongRead, CanBeCancelledInTheMiddle) {
  const uint64_t reads = n.replica.counters().reads;
  for (int i = 0; i < 5; ++i) spawn("long", everything(), Consistency::one);
  ASSERT_TRUE(cluster.simulation.run_until([&] { return n.replica.counters().reads == reads + 5; }, 10s));
  EXPECT_LT(done.size(), 5u);
  tasks.cancel();
  const size_t before = done.size();
  cluster.simulation.run_for(1s);
  EXPECT_EQ(done.size(), before);
  spawn("after", everything(), Consistency::one);
  ASSERT_TRUE(cluster.simulation.run_until([&] { return done.size() == before + 1; }, 10s));
}

}  // namespace
}  // namespace asterism::datastore
