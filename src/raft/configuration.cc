#include "raft/configuration.h"

#include <algorithm>

#include "base/assert.h"
#include "raft/message.h"

namespace asterism::raft {

namespace {

bool holds(const std::vector<NodeId>& nodes, NodeId node) { return std::ranges::binary_search(nodes, node); }

std::vector<NodeId> union_of(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> out;
  std::ranges::set_union(a, b, std::back_inserter(out));
  return out;
}

std::vector<NodeId> difference(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> out;
  std::ranges::set_difference(a, b, std::back_inserter(out));
  return out;
}

std::vector<NodeId> intersection(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> out;
  std::ranges::set_intersection(a, b, std::back_inserter(out));
  return out;
}

Status check_list(const std::vector<NodeId>& nodes, const char* name) {
  if (nodes.size() > max_members) return fail(ErrorCode::too_large, "{} has more than {} nodes", name, max_members);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!nodes[i]) return fail(ErrorCode::invalid_argument, "{} holds node 0", name);
    if (i > 0 && nodes[i - 1] >= nodes[i]) return fail(ErrorCode::invalid_argument, "{} is not a sorted set", name);
  }
  return {};
}

}  // namespace

bool Configuration::is_voter(NodeId node) const { return holds(voters, node) || holds(voters_outgoing, node); }
bool Configuration::is_learner(NodeId node) const { return holds(learners, node) && !is_voter(node); }

uint8_t Configuration::priority_of(NodeId node) const {
  auto found = std::ranges::find(priorities, node, &Priority::node);
  return found == priorities.end() ? 0 : found->value;
}

std::vector<NodeId> Configuration::members() const { return union_of(union_of(voters, voters_outgoing), learners); }

Status validate(const Configuration& c) {
  TRY_STATUS(check_list(c.voters, "voters"));
  TRY_STATUS(check_list(c.voters_outgoing, "voters_outgoing"));
  TRY_STATUS(check_list(c.learners, "learners"));
  TRY_STATUS(check_list(c.learners_next, "learners_next"));
  if (c.priorities.size() > max_members) return fail(ErrorCode::too_large, "more than {} priorities", max_members);
  for (size_t i = 0; i < c.priorities.size(); ++i) {
    if (!c.priorities[i].node || (i > 0 && c.priorities[i - 1].node >= c.priorities[i].node))
      return fail(ErrorCode::invalid_argument, "priorities are not a sorted set");
  }
  if (c.voters.empty() && (c.joint() || !c.learners.empty() || !c.learners_next.empty()))
    return fail(ErrorCode::invalid_argument, "a configuration needs a voter");
  if (!intersection(c.learners, union_of(c.voters, c.voters_outgoing)).empty())
    return fail(ErrorCode::invalid_argument, "a node is both voter and learner");
  if (!difference(c.learners_next, c.voters_outgoing).empty() || !intersection(c.learners_next, c.voters).empty())
    return fail(ErrorCode::invalid_argument, "learners_next must be outgoing voters");
  if (c.members().size() > max_members) return fail(ErrorCode::too_large, "more than {} members", max_members);
  return {};
}

Result<Configuration> plan_change(const Configuration& now, ConfigurationTarget target) {
  if (now.joint()) return fail(ErrorCode::unavailable, "a configuration change is under way");
  std::ranges::sort(target.voters);
  std::ranges::sort(target.learners);
  std::ranges::sort(target.priorities, {}, &Priority::node);
  Configuration next{.voters = target.voters, .learners = target.learners, .priorities = target.priorities};
  if (next.voters.empty()) return fail(ErrorCode::invalid_argument, "a configuration needs a voter");
  TRY_STATUS(validate(next));
  size_t changed = difference(now.voters, next.voters).size() + difference(next.voters, now.voters).size();
  if (changed <= 1) return next;
  next.voters_outgoing = now.voters;
  next.learners_next = intersection(next.learners, now.voters);
  next.learners = difference(next.learners, now.voters);
  TRY_STATUS(validate(next));
  return next;
}

Configuration leave_joint(const Configuration& joint) {
  Configuration next = joint;
  next.voters_outgoing.clear();
  next.learners_next.clear();
  next.learners = union_of(joint.learners, joint.learners_next);
  return next;
}

void ConfigurationHistory::reset(LogIndex index, Configuration configuration) {
  items_.clear();
  items_.push_back({index, std::move(configuration)});
  items_.shrink_to_fit();
}

Status ConfigurationHistory::append(const Entry& entry) {
  if (entry.kind != EntryKind::config_change) return {};
  ByteReader in(entry.bytes());
  TRY(Configuration configuration, decode_configuration(in));
  if (!in.at_end()) return fail(ErrorCode::corrupt, "bytes after the configuration of entry {}", entry.index);
  add(entry.index, std::move(configuration));
  return {};
}

void ConfigurationHistory::add(LogIndex index, Configuration configuration) {
  truncate(index);
  ASSERT(items_.empty() || items_.back().index < index);
  items_.push_back({index, std::move(configuration)});
}

bool ConfigurationHistory::truncate(LogIndex from) {
  bool changed = false;
  while (items_.size() > 1 && items_.back().index >= from) {
    items_.pop_back();
    changed = true;
  }
  return changed;
}

void ConfigurationHistory::release(LogIndex index) {
  size_t drop = 0;
  while (drop + 1 < items_.size() && items_[drop + 1].index <= index) ++drop;
  items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(drop));
}

const Configuration& ConfigurationHistory::at(LogIndex index) const {
  ASSERT(!items_.empty());
  size_t found = 0;
  while (found + 1 < items_.size() && items_[found + 1].index <= index) ++found;
  return items_[found].configuration;
}

}  // namespace asterism::raft
