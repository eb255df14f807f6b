#include "raft/raft.h"

#include "raft/machine.h"

namespace asterism::raft {

const char* to_string(Role role) {
  switch (role) {
    case Role::follower:
      return "follower";
    case Role::pre_candidate:
      return "pre_candidate";
    case Role::candidate:
      return "candidate";
    case Role::leader:
      return "leader";
  }
  return "?";
}

Raft::Raft(Config config, Restored restored, const LogView& log)
    : machine_(std::make_unique<Machine>(config, std::move(restored), log)) {}
Raft::~Raft() = default;
Raft::Raft(Raft&&) noexcept = default;

void Raft::tick() { machine_->tick(); }
void Raft::step(Message message) { machine_->step(std::move(message)); }
Result<LogIndex> Raft::propose(std::span<const Payload> payloads) { return machine_->propose(payloads); }
Result<LogIndex> Raft::propose_config_change(ConfigurationTarget target) {
  return machine_->propose_config_change(std::move(target));
}
Status Raft::read_index(uint64_t context) { return machine_->read_index(context); }
Status Raft::transfer_leadership(NodeId to) { return machine_->transfer_leadership(to); }
void Raft::campaign() { machine_->campaign(false); }
void Raft::persisted(uint64_t id) { machine_->persisted(id); }
void Raft::applied(LogIndex index) { machine_->applied(index); }
SnapshotMeta Raft::describe_snapshot() const { return machine_->describe_snapshot(); }
void Raft::send_snapshot_chunk(NodeId to, const SnapshotMeta& meta, uint64_t offset, Payload data, bool done) {
  machine_->send_snapshot_chunk(to, meta, offset, std::move(data), done);
}
void Raft::snapshot_received(const SnapshotMeta& meta, bool intact) { machine_->snapshot_received(meta, intact); }
void Raft::report_unreachable(NodeId node) { machine_->report_unreachable(node); }
Output Raft::take() { return machine_->take(); }
bool Raft::has_output() const { return machine_->has_output(); }

bool Raft::quiet() const { return machine_->resting_ && !machine_->has_output(); }
NodeId Raft::id() const { return machine_->config_.id; }
ShardId Raft::group() const { return machine_->config_.group; }
Role Raft::role() const { return machine_->role_; }
Term Raft::term() const { return machine_->hard_.term; }
NodeId Raft::leader() const { return machine_->leader_; }
bool Raft::recovering() const { return machine_->hard_.recovering; }
LogIndex Raft::commit_index() const { return machine_->hard_.commit; }
LogIndex Raft::applied_index() const { return machine_->applied_; }
LogIndex Raft::last_index() const { return machine_->log_.last_index(); }
const Configuration& Raft::configuration() const { return machine_->history_.latest().configuration; }
LogIndex Raft::configuration_index() const { return machine_->history_.latest().index; }
const HardState& Raft::hard_state() const { return machine_->hard_; }
bool Raft::lease_valid() const { return machine_->lease_valid(); }

std::vector<Raft::PeerStatus> Raft::progress() const {
  std::vector<PeerStatus> peers;
  for (const Progress& peer : machine_->progress_)
    peers.push_back({peer.node, peer.match, peer.next, to_string(peer.state), peer.active, peer.recovering});
  return peers;
}

size_t Raft::memory_bytes() const { return sizeof *this + machine_->memory_bytes(); }

}  // namespace asterism::raft
