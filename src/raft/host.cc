#include "raft/host.h"

#include <algorithm>

#include "base/assert.h"

namespace asterism::raft {

constexpr Duration retry_appends_after = 2ms, tidy_every = 1s;

struct Host::Group {
  ShardId id;
  StateMachine& machine;
  std::unique_ptr<GroupLog> log;
  std::optional<Raft> raft;
  bool touched = false;
  bool awake = false;
  bool base_pending = false;
  Role role = Role::follower;

  struct Proposal {
    Term term;
    OneShot<Committed>::Sender sender;
  };
  std::map<LogIndex, Proposal> proposals;
  std::map<uint64_t, OneShot<LogIndex>::Sender> asked;       // by read context
  std::multimap<LogIndex, OneShot<LogIndex>::Sender> reads;  // wait until this index is applied
  Bytes receiving;                                           // snapshot chunks so far
  std::map<LogIndex, Payload> received;                      // whole snapshots that wait for their Write

  Group(ShardId shard, StateMachine& state) : id(shard), machine(state) {}
};

/// A record for the write-ahead log. `write`: what to report as persisted; none for a base of the host's own.
struct Host::Append {
  Group* group;
  GroupRecord kind;
  std::optional<uint64_t> write;
  Bytes payload;
};

/// Carries out what the groups want once a turn, however many inputs they had.
struct Host::Turn final : Ready {
  Host& host;
  explicit Turn(Host& of) : host(of) {}
  void run() override { host.step_all(); }
};

Host::Host(HostOptions options, Executor& executor, const Clock& clock, Random& random, Send send, Log log)
    : options_(options),
      executor_(executor),
      clock_(clock),
      random_(random),
      send_(std::move(send)),
      log_(std::move(log)),
      tick_timer_(executor),
      tidy_timer_(executor),
      retry_timer_(executor),
      turn_(std::make_unique<Turn>(*this)) {}

Host::~Host() = default;

Status Host::replay(const Record& record) {
  auto& log = replayed_[record.owner];
  if (!log) log = std::make_unique<GroupLog>();
  return log->replay(static_cast<GroupRecord>(record.kind), record.payload);
}

void Host::start(WriteAheadLog& wal) {
  wal_ = &wal;
  next_tick_ = executor_.now() + options_.tick;
  tidy();
}

Status Host::add_group(ShardId id, Configuration first, StateMachine& machine) {
  ASSERT(wal_ != nullptr && !groups_.contains(id));
  auto group = std::make_unique<Group>(id, machine);
  auto replayed = replayed_.extract(id);
  if (!replayed.empty() && !replayed.mapped()->whole())
    return fail(ErrorCode::corrupt, "the log has records of group {} but not its first", id);
  group->log = replayed.empty() ? std::make_unique<GroupLog>(std::move(first)) : std::move(replayed.mapped());
  GroupLog& log = *group->log;
  if (log.snapshot_data()) TRY_STATUS(machine.restore(*log.snapshot_data()));

  Config config;
  config.id = options_.self;
  config.group = id;
  config.seed = random_.next() | 1;
  config.election_ticks = options_.election_ticks;
  config.heartbeat_ticks = options_.heartbeat_ticks;
  config.quiesce_after_ticks = options_.quiesce_after_ticks;
  config.recovering = options_.recovering && replayed.empty();
  config.incarnation = static_cast<uint64_t>(std::max<int64_t>(clock_.wall_now().us, 1));
  group->raft.emplace(config, Restored{log.hard_state(), log.configurations(), log.snapshot_meta().index}, log);

  Group& added = *group;
  groups_[id] = std::move(group);
  // A first record before anything is promised: a restart must know the first configuration.
  if (replayed.empty()) write_base(added);
  touch(added);
  return {};
}

Host::Group* Host::find(ShardId id) const {
  auto it = groups_.find(id);
  return it == groups_.end() ? nullptr : it->second.get();
}

NodeId Host::leader(ShardId id) const {
  Group* group = find(id);
  return group ? group->raft->leader() : NodeId{};
}

const Raft& Host::raft(ShardId id) const { return *find(id)->raft; }

bool Host::recovering() const {
  return std::ranges::any_of(groups_, [](const auto& entry) { return entry.second->raft->recovering(); });
}

Host::Counters Host::counters() const {
  Counters counters = counters_;
  counters.groups = groups_.size();
  counters.quiet = groups_.size() - awake_.size();
  return counters;
}

void Host::touch(Group& group) {
  if (!group.awake && !group.raft->quiet()) {
    group.awake = true;
    awake_.insert(group.id);
    arm_tick();
  }
  if (group.touched) return;
  group.touched = true;
  touched_.push_back(group.id);
  if (!turn_->queued()) executor_.post(*turn_);
}

void Host::step_all() {
  while (!touched_.empty() && !stopped_) {
    for (ShardId id : std::exchange(touched_, {})) {
      Group& group = *find(id);
      group.touched = false;
      if (group.raft->has_output()) carry_out(group);
    }
  }
  flush_messages();
}

void Host::carry_out(Group& group) {
  Output output = group.raft->take();
  for (const Message& message : output.messages) {
    ByteWriter out(outgoing_[message.to]);
    encode(message, out);
    ++counters_.messages_sent;
  }
  if (output.write) write(group, std::move(*output.write));
  if (output.soft_state) {
    const bool lost = group.role == Role::leader && output.soft_state->role != Role::leader;
    group.role = output.soft_state->role;
    if (lost) fail_waiters(group, ErrorCode::closed, "leadership was lost before the entry was committed");
    log_.debug("group {}: {} in term {}, leader {}", group.id, to_string(group.role), output.soft_state->term,
               output.soft_state->leader);
  }
  for (const ReadState& read : output.reads) {
    auto asked = group.asked.extract(read.context);
    if (asked.empty()) continue;
    if (read.ok) {
      group.reads.emplace(read.index, std::move(asked.mapped()));
    } else {
      asked.mapped().send(fail(ErrorCode::unavailable, "the leader changed"));
    }
  }
  for (auto& chunk : output.received_chunks) receive_chunk(group, std::move(chunk));
  for (const ChunkRequest& request : output.chunk_requests) {
    const Payload& data = group.log->snapshot_data();
    if (!data || group.log->snapshot_meta() != request.meta || request.offset > data->size()) {
      group.raft->send_snapshot_chunk(request.to, request.meta, request.offset, nullptr, false);
    } else {
      Bytes piece = data->substr(request.offset, options_.snapshot_chunk_bytes);
      const bool done = request.offset + piece.size() == data->size();
      group.raft->send_snapshot_chunk(request.to, request.meta, request.offset, make_payload(std::move(piece)), done);
    }
  }
  const bool applied = !output.committed.empty();
  if (applied) apply(group, std::move(output.committed));
  finish_reads(group);
  if (on_change_ && (applied || output.soft_state)) on_change_(group.id);
  if (group.raft->has_output()) touch(group);
}

void Host::write(Group& group, Write write) {
  Payload data;
  if (write.snapshot) {
    data = std::exchange(group.received[write.snapshot->index], nullptr);
    group.received.clear();
    ASSERT(data != nullptr);
    if (Status restored = group.machine.restore(*data); !restored) return stop(restored.error());
  }
  const bool base = write.snapshot.has_value();
  if (Status kept = group.log->apply(write, data); !kept) return stop(kept.error());
  Bytes payload = base ? group.log->encode_base() : GroupLog::encode_write(write);
  ++counters_.writes;
  append({&group, base ? GroupRecord::base : GroupRecord::write, write.id, std::move(payload)});
}

void Host::write_base(Group& group) {
  if (std::exchange(group.base_pending, true)) return;
  append({&group, GroupRecord::base, std::nullopt, group.log->encode_base()});
}

void Host::append(Append append) {
  if (stopped_) return;
  if (backlog_.empty() && try_append(append)) return;
  backlog_.push_back(std::move(append));
  if (!retry_timer_.armed()) retry_timer_.arm(executor_.now() + retry_appends_after, [this] { retry_appends(); });
}

/// False where the log has no room now: others fill it too.
bool Host::try_append(Append& append) {
  auto position = wal_->append(append.group->id, static_cast<uint8_t>(append.kind), append.payload);
  if (!position && position.error().code == ErrorCode::overloaded) return false;
  if (!position) {
    stop(position.error());
    return true;
  }
  wal_->when_durable(
      *position, [this, group = append.group, kind = append.kind, write = append.write, at = *position](Status done) {
        if (!write) group->base_pending = false;
        if (!done) return stop(done.error());
        if (kind == GroupRecord::base) wal_->release(group->id, at);
        if (!write) return;
        group->raft->persisted(*write);
        touch(*group);
        maybe_snapshot(*group);
      });
  return true;
}

void Host::retry_appends() {
  while (!backlog_.empty() && !stopped_ && try_append(backlog_.front())) backlog_.pop_front();
  if (!backlog_.empty() && !stopped_)
    retry_timer_.arm(executor_.now() + retry_appends_after, [this] { retry_appends(); });
}

void Host::apply(Group& group, std::vector<Entry> entries) {
  for (const Entry& entry : entries) {
    Result<Bytes> outcome = Bytes{};
    if (entry.kind == EntryKind::normal) outcome = group.machine.apply(entry.index, entry.bytes());
    auto proposal = group.proposals.extract(entry.index);
    if (proposal.empty()) continue;
    if (proposal.mapped().term == entry.term) {
      proposal.mapped().sender.send(Committed{entry.index, std::move(outcome)});
    } else {
      proposal.mapped().sender.send(fail(ErrorCode::closed, "another leader's entry took the place"));
    }
  }
  group.raft->applied(entries.back().index);
}

void Host::finish_reads(Group& group) {
  const LogIndex applied = group.raft->applied_index();
  while (!group.reads.empty() && group.reads.begin()->first <= applied) {
    auto read = group.reads.extract(group.reads.begin());
    read.mapped().send(applied);
  }
}

void Host::receive_chunk(Group& group, ReceivedChunk chunk) {
  constexpr size_t max_snapshot_bytes = 60 << 20;
  if (chunk.offset == 0) group.receiving.clear();
  bool intact = chunk.offset == group.receiving.size() && chunk.data != nullptr &&
                chunk.offset + chunk.data->size() <= max_snapshot_bytes;
  if (intact) group.receiving += *chunk.data;
  if (!chunk.done) return;
  if (intact) group.received[chunk.meta.index] = make_payload(std::exchange(group.receiving, {}));
  group.raft->snapshot_received(chunk.meta, intact);
}

void Host::maybe_snapshot(Group& group) {
  GroupLog& log = *group.log;
  const uint64_t last_size = log.snapshot_data() ? log.snapshot_data()->size() : 0;
  if (log.entry_bytes() < std::max(options_.snapshot_after_bytes, last_size)) return;
  SnapshotMeta meta = group.raft->describe_snapshot();
  if (meta.index <= log.snapshot_meta().index || meta.index > log.last_index()) return;
  log.compact(meta, make_payload(group.machine.snapshot()));
  ++counters_.snapshots;
  write_base(group);
}

/// Groups that write seldom would hold old segments for ever: they write everything they have again.
size_t Host::rewrite_oldest() {
  constexpr size_t segments_kept = 4, groups_at_once = 64;
  if (wal_->segments() <= segments_kept || !backlog_.empty()) return 0;
  size_t asked = 0;
  for (ShardId holder : wal_->oldest_live().holders) {
    Group* group = find(holder);
    if (group == nullptr) continue;
    write_base(*group);
    if (++asked == groups_at_once) break;
  }
  return asked;
}

/// Goes on when all groups are at rest: others write to the log.
void Host::tidy() {
  const size_t rewritten = rewrite_oldest();
  if (!stopped_) tidy_timer_.arm(executor_.now() + (rewritten > 0 ? options_.tick : tidy_every), [this] { tidy(); });
}

void Host::flush_messages() {
  for (auto& [to, batch] : std::exchange(outgoing_, {})) {
    ++counters_.batches_sent;
    send_(to, std::move(batch));
  }
}

void Host::receive(NodeId from, BytesView batch) {
  make_up_ticks();
  ByteReader in(batch);
  while (!in.at_end() && !stopped_) {
    auto message = decode(in, from, options_.self);
    if (!message) {
      log_.warning("dropping messages of node {}: {}", from, message.error().to_string());
      return;
    }
    Group* group = find(message->group);
    if (group == nullptr) continue;
    group->raft->step(std::move(*message));
    touch(*group);
  }
}

void Host::report_unreachable(NodeId node) {
  unreachable_.insert(node);
  for (auto& [id, group] : groups_) {
    if (!group->raft->configuration().contains(node)) continue;
    group->raft->report_unreachable(node);
    touch(*group);
  }
}

void Host::campaign(ShardId id) {
  Group* group = find(id);
  if (group == nullptr || stopped_) return;
  group->raft->campaign();
  touch(*group);
}

size_t Host::hand_over() {
  std::vector<ShardId> led;
  for (const auto& [id, group] : groups_)
    if (group->raft->configuration().voters.size() > 1 && is_leader(id)) led.push_back(id);
  std::ranges::sort(led);
  for (ShardId id : led) {
    Group& group = *find(id);
    const auto progress = group.raft->progress();
    const Raft::PeerStatus* best = nullptr;
    for (const Raft::PeerStatus& peer : progress)
      if (peer.node != options_.self && peer.active && !peer.recovering &&
          group.raft->configuration().is_voter(peer.node) && (best == nullptr || peer.match > best->match))
        best = &peer;
    if (best == nullptr) continue;
    (void)group.raft->transfer_leadership(best->node);
    touch(group);
  }
  return led.size();
}

Status Host::change_configuration(ShardId id, ConfigurationTarget target) {
  Group* group = find(id);
  if (group == nullptr || stopped_) return fail(ErrorCode::unavailable, "group {} does not run here", id);
  auto index = group->raft->propose_config_change(std::move(target));
  touch(*group);
  return index ? Status() : Status(fail(index.error()));
}

Task<Result<Host::Committed>> Host::propose(ShardId id, Bytes payload) {
  Group* group = find(id);
  if (group == nullptr || stopped_) co_return fail(ErrorCode::unavailable, "group {} does not run here", id);
  const Payload shared = make_payload(std::move(payload));
  auto index = group->raft->propose(std::span(&shared, 1));
  if (!index) co_return fail(index.error());
  OneShot<Committed> outcome;
  group->proposals[*index] = {group->raft->term(), outcome.sender()};
  touch(*group);
  co_return co_await outcome.receive();
}

Task<Status> Host::read_barrier(ShardId id) {
  Group* group = find(id);
  if (group == nullptr || stopped_) co_return fail(ErrorCode::unavailable, "group {} does not run here", id);
  if (options_.defects.has(Defect::read_without_asking)) co_return Status{};
  make_up_ticks();
  const uint64_t context = next_context_++;
  CO_TRY_STATUS(group->raft->read_index(context));
  OneShot<LogIndex> answer;
  group->asked[context] = answer.sender();
  touch(*group);
  auto index = co_await answer.receive();
  if (!index) co_return fail(index.error());
  co_return Status{};
}

void Host::fail_waiters(Group& group, ErrorCode code, const char* why) {
  for (auto& [index, proposal] : std::exchange(group.proposals, {})) proposal.sender.send(fail(code, "{}", why));
}

/// A lease is counted in ticks, so a leader must have seen those that a busy or frozen machine missed before it
/// answers anything. Followers need not: a late election is a safe one.
void Host::make_up_ticks() {
  const Instant now = executor_.now();
  if (options_.defects.has(Defect::lease_outlives_freeze)) return;
  if (awake_.empty() || now < next_tick_ + options_.tick) return;
  const int64_t missed = (now - next_tick_) / options_.tick;
  next_tick_ = next_tick_ + missed * options_.tick;
  const int64_t made_up = std::min<int64_t>(missed, 2 * options_.election_ticks);
  for (ShardId id : awake_) {
    Group& group = *find(id);
    for (int64_t i = 0; i < made_up && group.raft->role() == Role::leader; ++i) group.raft->tick();
    if (!group.touched && group.raft->has_output()) touch(group);
  }
}

void Host::tick() {
  make_up_ticks();
  for (ShardId id : std::vector<ShardId>(awake_.begin(), awake_.end())) {
    Group& group = *find(id);
    group.raft->tick();
    if (group.raft->quiet() && !group.touched && !group.raft->has_output()) {
      group.awake = false;
      awake_.erase(id);
      // A group that goes to rest under a leader that is dead already must hear of it.
      if (unreachable_.contains(group.raft->leader())) {
        group.raft->report_unreachable(group.raft->leader());
        touch(group);
      }
    } else {
      touch(group);
    }
  }
  arm_tick();
}

void Host::arm_tick() {
  if (tick_timer_.armed() || awake_.empty() || stopped_) return;
  next_tick_ = std::max(next_tick_ + options_.tick, executor_.now());
  tick_timer_.arm(next_tick_, [this] { tick(); });
}

void Host::stop(const Error& error) {
  if (std::exchange(stopped_, true)) return;
  log_.error("Raft stops on this node: {}", error.to_string());
  tick_timer_.cancel();
  tidy_timer_.cancel();
  retry_timer_.cancel();
  for (auto& [id, group] : groups_) {
    fail_waiters(*group, ErrorCode::closed, "the node's disk failed: what was proposed may be decided by the others");
    group->asked.clear();
    group->reads.clear();
  }
  if (on_change_)
    for (auto& [id, group] : groups_) on_change_(id);
}

}  // namespace asterism::raft
