#include "raft/message.h"

#include <gtest/gtest.h>

#include "raft/configuration.h"
#include "raft/quorum.h"

namespace asterism::raft {
namespace {

constexpr NodeId a{1}, b{2}, c{3}, d{4};

Bytes wire_of(const Message& message) {
  Bytes wire;
  ByteWriter out(wire);
  encode(message, out);
  return wire;
}

Message append_of(size_t entries) {
  Message m{.kind = MessageKind::append, .group = {9}, .term = {5}, .index = {10}, .log_term = {4}, .commit = {8}};
  for (size_t i = 0; i < entries; ++i)
    m.entries.push_back({.term = {5}, .index = m.index + (i + 1), .payload = make_payload(Bytes(i, 'x'))});
  return m;
}

TEST(RaftMessage, append_survives_the_wire) {
  Bytes wire = wire_of(append_of(5));
  ByteReader in(wire);
  Result<Message> m = decode(in, a, b);
  ASSERT_TRUE(m.has_value());
  EXPECT_TRUE(in.at_end());
  ASSERT_EQ(m->entries.size(), 5U);
  EXPECT_EQ(m->entries[4].index, LogIndex{15});
  EXPECT_EQ(m->entries[4].bytes(), "xxxx");
  EXPECT_EQ(m->from, a);
  EXPECT_EQ(wire_of(*m), wire);
}

TEST(RaftMessage, head_and_bulk_make_the_whole) {
  Message m = append_of(4);
  Bytes wire;
  ByteWriter out(wire);
  encode_head(m, out);
  for (BytesView piece : bulk(m)) out.raw(piece);
  EXPECT_EQ(wire, wire_of(m));
  EXPECT_EQ(bulk(m)[0].data(), m.entries[1].payload->data()) << "bulk copies nothing";
}

TEST(RaftMessage, heartbeat_is_tiny) {
  Message m{.kind = MessageKind::heartbeat, .group = {5000}, .term = {12}, .commit = {100'000}, .context = 900};
  EXPECT_LE(wire_of(m).size(), 10U);
}

TEST(RaftMessage, every_truncation_is_refused) {
  for (const Message& m : {append_of(3), Message{.kind = MessageKind::snapshot_chunk,
                                                 .term = {2},
                                                 .snapshot = std::make_shared<const SnapshotMeta>(
                                                     LogIndex{3}, Term{1}, Configuration{.voters = {a, b}}),
                                                 .data = make_payload("bytes")}}) {
    Bytes wire = wire_of(m);
    for (size_t size = 0; size < wire.size(); ++size) {
      ByteReader in(BytesView(wire).substr(0, size));
      EXPECT_FALSE(decode(in, a, b).has_value()) << size;
    }
  }
}

TEST(RaftMessage, limits_hold_before_memory_is_taken) {
  Bytes wire = wire_of(append_of(3));
  ByteReader few(wire);
  EXPECT_EQ(decode(few, a, b, {.max_entries = 2}).error().code, ErrorCode::too_large);
  ByteReader small(wire);
  EXPECT_EQ(decode(small, a, b, {.max_bulk_bytes = 2}).error().code, ErrorCode::too_large);
}

TEST(RaftMessage, hard_state_survives) {
  HardState state{.term = {7}, .voted_for = b, .commit = {9}, .recovering = true, .incarnations = {{a, 3}}};
  Bytes wire;
  ByteWriter out(wire);
  encode(state, out);
  ByteReader in(wire);
  EXPECT_EQ(*decode_hard_state(in), state);
}

TEST(RaftConfiguration, section_4_1_one_voter_changes_directly) {
  Result<Configuration> next = plan_change({.voters = {a, b, c}}, {.voters = {d, b, a, c}});
  ASSERT_TRUE(next.has_value());
  EXPECT_FALSE(next->joint());
  EXPECT_EQ(next->voters.size(), 4U);
}

TEST(RaftConfiguration, section_4_3_several_go_through_a_joint_one) {
  Result<Configuration> joint = plan_change({.voters = {a, b, c}}, {.voters = {a, d}, .learners = {b}});
  ASSERT_TRUE(joint.has_value());
  EXPECT_TRUE(joint->joint());
  EXPECT_TRUE(joint->is_voter(b));
  EXPECT_FALSE(plan_change(*joint, {.voters = {a}}).has_value());
  Configuration left = leave_joint(*joint);
  EXPECT_EQ(left, (Configuration{.voters = {a, d}, .learners = {b}}));
  EXPECT_TRUE(validate(left).has_value());
}

TEST(RaftConfiguration, malformed_targets_are_refused) {
  Configuration now{.voters = {a, b, c}};
  EXPECT_FALSE(plan_change(now, {}).has_value());
  EXPECT_FALSE(plan_change(now, {.voters = {a, a}}).has_value());
  EXPECT_FALSE(plan_change(now, {.voters = {a, NodeId{0}}}).has_value());
  EXPECT_FALSE(plan_change(now, {.voters = {a, b}, .learners = {b}}).has_value());
}

TEST(RaftConfiguration, section_4_1_history_reverts_when_the_log_is_cut) {
  ConfigurationHistory history(LogIndex{0}, {.voters = {a}});
  history.add(LogIndex{3}, {.voters = {a, b}});
  history.add(LogIndex{5}, {.voters = {a, b, c}});
  EXPECT_EQ(history.at(LogIndex{4}).voters.size(), 2U);
  EXPECT_TRUE(history.truncate(LogIndex{5}));
  EXPECT_EQ(history.latest().index, LogIndex{3});
  history.release(LogIndex{3});
  EXPECT_FALSE(history.truncate(LogIndex{1})) << "the oldest stays";
}

TEST(RaftQuorum, joint_needs_both_majorities) {
  Configuration joint{.voters = {a, d}, .voters_outgoing = {a, b, c}};
  auto only = [](std::vector<NodeId> nodes) {
    return [nodes](NodeId node) { return std::ranges::find(nodes, node) != nodes.end(); };
  };
  EXPECT_FALSE(has_quorum(joint, only({a, d})));
  EXPECT_FALSE(has_quorum(joint, only({a, b, c})));
  EXPECT_TRUE(has_quorum(joint, only({a, b, d})));
  EXPECT_FALSE(has_quorum(Configuration{}, [](NodeId) { return true; }));
  EXPECT_EQ(quorum_value({.voters = {a, b, c, d}}, [](NodeId node) -> uint64_t { return node.value * 10; }), 20U);
}

TEST(RaftQuorum, majority_of_others_leaves_out_the_asker) {
  Configuration three{.voters = {a, b, c}};
  EXPECT_FALSE(has_majority_of_others(three, a, [](NodeId node) { return node == b; }));
  EXPECT_TRUE(has_majority_of_others(three, a, [](NodeId node) { return node != a; }));
  EXPECT_FALSE(has_majority_of_others({.voters = {a}}, a, [](NodeId) { return true; }));
}

}  // namespace
}  // namespace asterism::raft
