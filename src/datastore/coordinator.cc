#include "datastore/coordinator.h"

#include <algorithm>

#include "datastore/merge_results.h"
#include "runtime/timeout.h"

namespace asterism::datastore {

constexpr Duration retry_delay = 10ms;
constexpr size_t max_shards_at_once = 1024;  // of a range read; a request may name four times as many
constexpr size_t long_answer_bytes = 32 << 10;

static RequestFailure failure(RequestFailure::Kind kind, std::string message) {
  RequestFailure out;
  out.kind = kind;
  out.message = std::move(message);
  return out;
}

Coordinator::Coordinator(CoordinatorOptions options, Executor& executor, Rpc& rpc, MetadataService& metadata,
                         const ClusterState& cluster, const Schema& schema, Liveness& liveness,
                         ReplicaService& replicas, Replica& replica, Hints& hints, Random& random, Log log)
    : options_(std::move(options)),
      executor_(executor),
      rpc_(rpc),
      metadata_(metadata),
      cluster_(cluster),
      schema_(schema),
      liveness_(liveness),
      replicas_(replicas),
      hints_(hints),
      batches_(
          options_.self, executor, random, rpc, cluster, liveness, replica,
          [this](Bytes mutation) { return write_from_batch(std::move(mutation)); }, std::move(log)),
      requests_(options_.max_requests),
      tasks_(executor) {}

Coordinator::~Coordinator() { tasks_.cancel(); }

/// The replicas of a request, and what they have to be told of the cluster.
struct Coordinator::Route {
  Requirement requirement;
  RequestView view;
};

RequestView Coordinator::view_of(const std::vector<const Shard*>& shards) const {
  RequestView view;
  view.metadata_index = metadata_.applied_index();
  for (const Shard* shard : shards) view.shards.emplace_back(shard->id, shard->epoch);
  return view;
}

/// What planted bugs make of a requirement.
void Coordinator::spoil(Requirement& requirement) const {
  if (options_.defects.has(Defect::quorum_off_by_one) && requirement.required > 1) --requirement.required;
  if (options_.defects.has(Defect::forget_double_write)) {
    requirement.next.clear();
    requirement.next_required = 0;
  }
}

Result<Coordinator::Route> Coordinator::route(const std::string& keyspace, int64_t token, Consistency consistency,
                                              bool write) const {
  const Shard* shard = cluster_.find(keyspace, token);
  if (shard == nullptr) return fail(ErrorCode::not_found, "keyspace {} has no shards", keyspace);
  TRY(Requirement requirement, require(consistency, *shard, write, cluster_, options_.datacenter));
  spoil(requirement);
  return Route{std::move(requirement), view_of({shard})};
}

static RequestFailure failure_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::overloaded:
      return failure(RequestFailure::Kind::overloaded, error.message);
    case ErrorCode::timeout:
      return failure(RequestFailure::Kind::timeout, error.message);
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
    case ErrorCode::too_large:
    case ErrorCode::unsupported:
      return failure(RequestFailure::Kind::invalid, error.message);
    default:
      return failure(RequestFailure::Kind::failure, error.to_string());
  }
}

/// Counts the answers that a request waits for. Shared by the waiting request and the tasks that talk to replicas,
/// some of which end after it.
struct Tally {
  /// Replicas of which so many must answer; where a shard moves there are two sets, which share nodes.
  struct Quota {
    std::vector<NodeId> nodes;
    uint32_t required = 0, received = 0, outstanding = 0;

    bool counts(NodeId node) const { return std::ranges::find(nodes, node) != nodes.end(); }
    bool reached() const { return received >= required; }
  };
  Quota now, next;
  uint32_t outstanding = 0, failures = 0, timeouts = 0;
  bool wrong_epoch = false, overloaded = false, gone = false;
  WaitQueue changed;

  void expect(const Requirement& requirement) {
    now = {requirement.counted, requirement.required};
    next = {requirement.next, requirement.next_required};
  }
  void asked(NodeId node) {
    ++outstanding;
    for (Quota* quota : {&now, &next}) quota->outstanding += quota->counts(node);
  }
  void answered(NodeId node, bool well) {
    --outstanding;
    for (Quota* quota : {&now, &next}) {
      if (!quota->counts(node)) continue;
      --quota->outstanding;
      quota->received += well;
    }
  }
  bool reached() const { return now.reached() && next.reached(); }
  bool hopeless() const {
    return now.received + now.outstanding < now.required || next.received + next.outstanding < next.required;
  }
  void count_error(const Error& error) {
    wrong_epoch |= error.code == ErrorCode::wrong_epoch;
    overloaded |= error.code == ErrorCode::overloaded;
    gone |= error.code == ErrorCode::not_found;
    // A connection that broke says as little as silence.
    const bool unknown = error.code == ErrorCode::timeout || error.code == ErrorCode::closed ||
                         error.code == ErrorCode::unavailable || error.code == ErrorCode::wrong_epoch;
    ++(unknown ? timeouts : failures);
  }
  RequestFailure describe(Consistency consistency) const {
    RequestFailure out;
    const Quota& missed = now.reached() ? next : now;
    const uint32_t received = missed.received, required = missed.required;
    out.kind = gone                                              ? RequestFailure::Kind::invalid
               : overloaded && received == 0                     ? RequestFailure::Kind::overloaded
               : failures > 0 && failures + received >= required ? RequestFailure::Kind::failure
                                                                 : RequestFailure::Kind::timeout;
    out.consistency = consistency;
    out.required = required;
    out.received = received;
    out.failures = failures;
    out.message = gone ? "the table was dropped" : "too few replicas answered";
    return out;
  }
};

static RequestFailure unavailable(Consistency consistency, uint32_t required, uint32_t alive) {
  RequestFailure out = failure(RequestFailure::Kind::unavailable, "too few replicas are up");
  out.consistency = consistency;
  out.required = required;
  out.received = alive;
  return out;
}

// Writes.

/// One mutation, or several of one shard.
struct Coordinator::Writes {
  Bytes one;
  std::vector<Bytes> many;

  int64_t token() const { return MutationView::token_of(many.empty() ? one : many.front()); }
  /// Whether all of it belongs to the shard.
  bool within(const Shard& shard) const {
    return std::ranges::all_of(
        many, [&](const Bytes& mutation) { return shard.range.contains(MutationView::token_of(mutation)); });
  }
  static Task<Status> own(ReplicaService& replicas, const RequestView& view, const Writes& writes, Instant deadline) {
    return writes.many.empty() ? replicas.write(view, writes.one, deadline)
                               : replicas.write_all(view, writes.many, deadline);
  }
  static Task<Result<Bytes>> send(Rpc& rpc, NodeId to, const RequestView& view, const Writes& writes,
                                  Instant deadline) {
    if (writes.many.empty())
      return rpc.call(to, rpc_method::write, ReplicaService::encode_write(view, writes.one), deadline);
    return rpc.call(to, rpc_method::write_all, ReplicaService::encode_write_all(view, writes.many), deadline,
                    RpcPriority::bulk);
  }
  static Task<Status> hint(Hints& hints, NodeId target, const Writes& writes) {
    return writes.many.empty() ? hints.store(target, writes.one) : hints.store_all(target, writes.many);
  }
};

struct Coordinator::WriteState : Tally {
  bool hint_counts = false;  // ANY
  /// This node's own copy is awaited where it would answer a read of the same level: who writes and then reads here
  /// finds what he wrote, although another replica was faster.
  bool own_awaited = false;
  RequestView view;
  Writes writes;
  Instant deadline;

  bool decided() const { return (reached() && !own_awaited) || hopeless(); }
};

Task<void> Coordinator::write_to(std::shared_ptr<WriteState> state, NodeId node, bool counts) {
  Status written;
  if (node == options_.self) {
    written =
        co_await with_deadline(state->deadline, Writes::own(replicas_, state->view, state->writes, state->deadline));
  } else if (!liveness_.up(node)) {
    written = fail(ErrorCode::unavailable, "node {} is down", node);
  } else {
    auto reply = co_await Writes::send(rpc_, node, state->view, state->writes, state->deadline);
    if (!reply) written = fail(reply.error());
  }
  const bool hint = !written && written.error().code != ErrorCode::not_found && node != options_.self;
  if (hint && state->hint_counts) {
    if (Status hinted = co_await Writes::hint(hints_, node, state->writes); hinted) written = {};
  }
  if (counts) {
    state->answered(node, written.has_value());
    if (!written) state->count_error(written.error());
    if (node == options_.self) state->own_awaited = false;
    if (state->decided()) state->changed.wake_all();
  }
  if (hint && !state->hint_counts) co_await Writes::hint(hints_, node, state->writes);
}

Task<Served<void>> Coordinator::write_once(const TablePtr& table, const Writes& writes, Consistency consistency,
                                           Instant deadline, bool& retry) {
  retry = false;
  auto routed = route(table->keyspace, writes.token(), consistency, true);
  if (!routed) co_return std::unexpected(failure_of(routed.error()));
  if (const Shard* shard = cluster_.shard(routed->view.shards.front().first); !writes.within(*shard))
    co_return std::unexpected(failure(RequestFailure::Kind::timeout, "the shards have changed"));
  const Requirement& requirement = routed->requirement;
  const uint32_t alive = count_up(requirement.counted, liveness_);
  if (alive < requirement.required) co_return std::unexpected(unavailable(consistency, requirement.required, alive));
  const uint32_t next_alive = count_up(requirement.next, liveness_);
  if (next_alive < requirement.next_required)
    co_return std::unexpected(unavailable(consistency, requirement.next_required, next_alive));
  if (requirement.only(options_.self)) {
    Status written = co_await with_deadline(deadline, Writes::own(replicas_, routed->view, writes, deadline));
    if (written) co_return Served<void>{};
    Tally one;
    one.now.required = 1;
    one.count_error(written.error());
    co_return std::unexpected(one.describe(consistency));
  }

  auto state = std::make_shared<WriteState>();
  state->hint_counts = consistency == Consistency::any;
  state->own_awaited = !state->hint_counts && requirement.enough(options_.self);
  state->expect(requirement);
  state->now.required = std::max(requirement.required, 1u);
  if (!requirement.next.empty()) state->next.required = std::max(requirement.next_required, 1u);
  const std::vector<NodeId> counted = requirement.all_counted();
  for (NodeId node : counted) state->asked(node);
  state->view = std::move(routed->view);
  state->writes = writes;
  state->deadline = deadline;
  for (NodeId node : counted) tasks_.spawn(write_to(state, node, true));
  for (NodeId node : requirement.others) tasks_.spawn(write_to(state, node, false));
  while (!state->decided()) co_await state->changed.wait();
  if (state->reached()) co_return Served<void>{};
  retry = state->wrong_epoch;
  RequestFailure failed = state->describe(consistency);
  // Replicas that refused get the mutation by a hint: it is not true that nothing was done.
  if (failed.kind == RequestFailure::Kind::overloaded) failed.kind = RequestFailure::Kind::failure;
  co_return std::unexpected(std::move(failed));
}

static RequestFailure too_large(const Bytes& mutation) {
  return failure(RequestFailure::Kind::invalid,
                 fmt::format("Mutation of {} bytes is too large for the maximum size of {}", mutation.size(),
                             Mutation::max_bytes));
}

Task<Served<void>> Coordinator::write_encoded(TablePtr table, Bytes mutation, Consistency consistency,
                                              Instant deadline) {
  return write_until(std::move(table), {std::move(mutation), {}}, consistency, deadline);
}

Task<Served<void>> Coordinator::write_versions(TablePtr table, std::vector<Bytes> mutations, Consistency consistency,
                                               Instant deadline) {
  ASSERT(!mutations.empty());
  return write_until(std::move(table), {{}, std::move(mutations)}, consistency, deadline);
}

/// Again where the shards changed meanwhile.
Task<Served<void>> Coordinator::write_until(TablePtr table, Writes writes, Consistency consistency, Instant deadline) {
  counters_.writes += std::max<size_t>(1, writes.many.size());
  auto permit = requests_.try_acquire();
  if (!permit) co_return std::unexpected(failure(RequestFailure::Kind::overloaded, "too many requests are under way"));
  if (writes.one.size() > Mutation::max_bytes) co_return std::unexpected(too_large(writes.one));
  for (const Bytes& mutation : writes.many)
    if (mutation.size() > Mutation::max_bytes) co_return std::unexpected(too_large(mutation));
  for (bool sent_before = false;; sent_before = true) {
    bool retry = false;
    auto served = co_await write_once(table, writes, consistency, deadline, retry);
    if (served) co_return served;
    // Replicas got an earlier attempt, and may have taken it.
    if (sent_before && served.error().kind == RequestFailure::Kind::unavailable)
      served.error().kind = RequestFailure::Kind::timeout;
    // The shards changed under the request: this node learns of it by the metadata log.
    if (!retry || executor_.now() + retry_delay >= deadline) {
      ++counters_.failures;
      co_return served;
    }
    co_await sleep_for(retry_delay);
  }
}

Task<Served<void>> Coordinator::write(TablePtr table, Mutation mutation, Consistency consistency, Instant deadline) {
  if (mutation.empty()) co_return Served<void>{};
  co_return co_await write_encoded(std::move(table), std::move(mutation).take(), consistency, deadline);
}

// Batches.

Task<Served<void>> Coordinator::write_all(std::vector<TableMutation> mutations, bool logged, Consistency consistency,
                                          Instant deadline) {
  std::erase_if(mutations, [](const TableMutation& entry) { return entry.mutation.empty(); });
  if (mutations.empty()) co_return Served<void>{};
  std::optional<BatchLog::Entry> entry;
  if (logged && mutations.size() > 1) {
    if (batches_.refusing())
      co_return std::unexpected(failure(RequestFailure::Kind::overloaded, "this node leaves the cluster"));
    std::vector<BytesView> encoded;
    for (const TableMutation& each : mutations) encoded.push_back(each.mutation.encoded());
    Bytes batch = BatchLog::encode(encoded);
    if (batch.size() > Mutation::max_bytes)
      co_return std::unexpected(failure(RequestFailure::Kind::invalid, "Batch too large"));
    auto kept = co_await batches_.keep(std::move(batch), deadline);
    if (!kept) {
      RequestFailure failed = failure_of(kept.error());
      // Another node may hold it: it is not true that nothing was done.
      if (failed.kind == RequestFailure::Kind::overloaded) failed.kind = RequestFailure::Kind::failure;
      co_return std::unexpected(std::move(failed));
    }
    entry = *kept;
  }
  TaskGroup writing(executor_);
  std::optional<RequestFailure> failed;
  for (auto& each : mutations) {
    writing.spawn([](Coordinator& self, TablePtr table, Bytes mutation, Consistency level, Instant until,
                     std::optional<RequestFailure>& out) -> Task<void> {
      auto served = co_await self.write_encoded(std::move(table), std::move(mutation), level, until);
      if (!served && !out) out = served.error();
    }(*this, each.table, std::move(each.mutation).take(), consistency, deadline, failed));
  }
  co_await writing.join();
  if (entry) failed ? batches_.finish(*entry) : batches_.forget(*entry);
  if (!failed) co_return Served<void>{};
  // The others were sent, and a logged batch goes on: it is not true that nothing was done.
  if (mutations.size() > 1 && failed->kind == RequestFailure::Kind::unavailable)
    failed->kind = RequestFailure::Kind::timeout;
  if (mutations.size() > 1 && failed->kind == RequestFailure::Kind::overloaded)
    failed->kind = RequestFailure::Kind::failure;
  co_return std::unexpected(*failed);
}

/// For a batch that goes on after its request ended: a hint for each replica is enough.
Task<bool> Coordinator::write_from_batch(Bytes mutation) {
  const auto view = MutationView::decode(mutation);
  if (!view) co_return true;
  TablePtr table = schema_.table(view->table);
  if (!table) co_return true;
  const Instant deadline = executor_.now() + 2s;
  co_return (co_await write_encoded(std::move(table), std::move(mutation), Consistency::any, deadline)).has_value();
}

Status Coordinator::start() { return batches_.start(); }

// Reads.

struct Coordinator::ReadState : Tally, std::enable_shared_from_this<ReadState> {
  size_t spare = 0;  // replicas that could still be asked
  RequestView view;
  ReadCommand command;
  Instant deadline;
  struct Answer {
    NodeId node;
    bool digest_only = false;
    Bytes bytes;
  };
  std::vector<Answer> answers;
  bool data_present() const {
    return std::ranges::any_of(answers, [](const Answer& answer) { return !answer.digest_only; });
  }
  /// What comes of it holds the core for long.
  bool has_long_answer() const {
    return std::ranges::any_of(answers, [](const Answer& answer) { return answer.bytes.size() >= long_answer_bytes; });
  }
  bool ready() const { return reached() && data_present(); }
  bool over() const { return ready() || (outstanding == 0 && spare == 0); }
};

void Coordinator::ask(const std::shared_ptr<ReadState>& state, NodeId node, bool digest_only) {
  state->asked(node);
  tasks_.spawn(read_from(state, node, digest_only));
}

Task<void> Coordinator::read_from(std::shared_ptr<ReadState> state, NodeId node, bool digest_only) {
  Result<Bytes> reply;
  if (node == options_.self) {
    reply = co_await replicas_.read(state->view, state->command, digest_only, state->deadline);
  } else {
    const Instant began = executor_.now();
    reply = co_await rpc_.call(node, rpc_method::read,
                               ReplicaService::encode_read(state->view, state->command, digest_only), state->deadline);
    if (reply) usual_read_ += (executor_.now() - began - usual_read_) / 16;
  }
  state->answered(node, reply.has_value());
  if (reply) {
    state->answers.push_back({node, digest_only, std::move(*reply)});
  } else {
    state->count_error(reply.error());
  }
  if (state->over() || !reply) state->changed.wake_all();
}

/// Waits for the answers. Replicas that were left out are asked, one after the other, when those asked take longer than
/// usual or fail.
Task<void> Coordinator::gather(ReadState& state, std::span<const NodeId> spare) {
  state.spare = spare.size();
  Timer hurry(executor_);
  uint32_t failed = 0;
  Instant until = Instant::never();
  while (!state.over()) {
    const bool late = executor_.now() >= until, more_failed = state.failures + state.timeouts > failed;
    if (state.spare > 0 && (late || more_failed)) {
      ++counters_.speculations;
      ask(state.shared_from_this(), spare[spare.size() - state.spare--], false);
      failed = state.failures + state.timeouts;
      until = Instant::never();
    }
    if (state.spare > 0 && until == Instant::never()) {
      until = executor_.now() + std::clamp<Duration>(usual_read_ * 4, 2ms, 200ms);
      hurry.arm(until, [&state] { state.changed.wake_all(); });
    }
    co_await state.changed.wait();
  }
}

Result<Coordinator::Route> Coordinator::route_read(const TablePtr& table, ReadCommand& command,
                                                   Consistency consistency) const {
  if (consistency == Consistency::any) return fail(ErrorCode::invalid_argument, "ANY is not for reads");
  if (command.single) return route(table->keyspace, command.token, consistency, false);
  // A range: from the shard of its first token on, as many shards as have the same replicas.
  const Bytes first = token_key(table->number, INT64_MIN);
  if (command.from < first) command.from = first;
  const auto token_of = [&](BytesView key) {
    return static_cast<int64_t>(load_big_endian<uint64_t>(key.data() + 4) ^ (uint64_t{1} << 63));
  };
  if (command.from.size() < 12) return fail(ErrorCode::invalid_argument, "a range of malformed keys");
  const Shard* shard = cluster_.find(table->keyspace, token_of(command.from));
  if (shard == nullptr) return fail(ErrorCode::not_found, "keyspace {} has no shards", table->keyspace);
  const auto asked_of = [](const Shard& of) {
    std::pair asked(of.replicas, of.settling ? of.target : std::vector<NodeId>());
    std::ranges::sort(asked.first);
    std::ranges::sort(asked.second);
    return asked;
  };
  const auto replicas = asked_of(*shard);
  std::vector<const Shard*> covered;
  int64_t token = token_of(command.from);
  while (true) {
    shard = cluster_.find(table->keyspace, token);
    if (asked_of(*shard) != replicas) {
      command.to = token_key(table->number, token);  // the next shard lives elsewhere: stop in front of it
      break;
    }
    if (std::ranges::find(covered, shard) == covered.end()) {
      if (covered.size() == max_shards_at_once) {
        command.to = token_key(table->number, token);
        break;
      }
      covered.push_back(shard);
    }
    // The range that goes round ends the walk; so does the table's last token.
    const bool last = token > shard->range.to || shard->range.to == INT64_MAX;
    const Bytes end = last ? after_prefix(first.substr(0, 4)) : token_key(table->number, shard->range.to + 1);
    if (!command.to.empty() && command.to <= end) break;
    if (last) {
      command.to = end;
      break;
    }
    token = shard->range.to + 1;
  }
  TRY(Requirement requirement, require(consistency, *covered.front(), false, cluster_, options_.datacenter));
  spoil(requirement);
  return Route{std::move(requirement), view_of(covered)};
}

/// The page of a range that was cut where the replicas change is not the last one.
static void end_page(const ReadCommand& command, BytesView asked_to, ReadPage& page) {
  if (command.single || !page.complete || command.to.size() < 12 || command.to == asked_to) return;
  page.complete = false;
  page.next = command.to;
}

Task<Served<ReadPage>> Coordinator::read_once(ReadCommand& command, const Route& route, Consistency consistency,
                                              Instant deadline, bool& retry) {
  const Requirement& requirement = route.requirement;
  if (requirement.enough(options_.self)) {
    ReplicaRead reading = replicas_.reading(command);
    Result<bool> done = replicas_.begin_read(reading);
    if (done && !*done) {
      const Status finished = co_await replicas_.finish_read(reading, route.view, deadline);
      if (!finished) done = fail(finished.error());
    }
    // What cannot be read here, another replica may have.
    if (done) {
      auto live = live_page(std::move(reading).take(), command.now_s);
      if (!live) co_return std::unexpected(failure_of(live.error()));
      co_return std::move(*live);
    }
  }
  std::vector<NodeId> up;
  for (NodeId node : requirement.all_counted())
    if (liveness_.up(node)) up.push_back(node);
  for (const auto& [nodes, required] :
       {std::pair(&requirement.counted, requirement.required), std::pair(&requirement.next, requirement.next_required)})
    if (const uint32_t alive = count_up(*nodes, liveness_); alive < required)
      co_return std::unexpected(unavailable(consistency, required, alive));
  if (auto self = std::ranges::find(up, options_.self); self != up.end()) std::rotate(up.begin(), self, self + 1);

  auto state = std::make_shared<ReadState>();
  state->command = command;
  state->expect(requirement);
  state->view = route.view;
  state->deadline = deadline;
  std::vector<NodeId> spare;
  for (NodeId node : up) {
    const auto lacks = [&](const Tally::Quota& quota) {
      return quota.counts(node) && quota.outstanding < quota.required;
    };
    if (lacks(state->now) || lacks(state->next)) {
      ask(state, node, state->outstanding > 0);
    } else {
      spare.push_back(node);
    }
  }
  co_await gather(*state, spare);
  if (!state->ready()) {
    retry = state->wrong_epoch;
    RequestFailure failed = state->describe(consistency);
    failed.data_present = state->data_present();
    co_return std::unexpected(std::move(failed));
  }

  if (state->has_long_answer()) co_await long_turn();
  const auto data = std::ranges::find(state->answers, false, &ReadState::Answer::digest_only);
  const uint64_t digest = state->answers.size() > 1 ? digest_of(data->bytes) : 0;
  const bool equal =
      state->answers.size() == 1 || std::ranges::all_of(state->answers, [&](const ReadState::Answer& answer) {
        if (!answer.digest_only) return digest_of(answer.bytes) == digest;
        return answer.bytes.size() == 8 && load_little_endian<uint64_t>(answer.bytes.data()) == digest;
      });
  if (!equal && !options_.defects.has(Defect::stale_read_repair)) {
    ++counters_.digest_mismatches;
    co_return co_await reconcile(state, route, deadline, retry);
  }
  auto live = live_page(std::move(data->bytes), command.now_s);
  if (!live) co_return std::unexpected(failure_of(live.error()));
  co_return std::move(*live);
}

/// Replicas differ: reads everything from as many as the level wants, repairs those that lack something, and answers
/// with the merged rows once the repairs are acknowledged.
Task<Served<ReadPage>> Coordinator::reconcile(std::shared_ptr<ReadState> first, const Route& route, Instant deadline,
                                              bool& retry) {
  auto state = std::make_shared<ReadState>();
  state->expect(route.requirement);
  state->view = first->view;
  state->deadline = deadline;
  state->command = first->command;
  // With a limit in each partition an answer would not say what it left out there.
  state->command.per_partition_limit = UINT32_MAX;
  for (NodeId node : route.requirement.all_counted())
    if (liveness_.up(node)) ask(state, node, false);
  while (!state->over()) co_await state->changed.wait();
  if (!state->reached()) {
    retry = state->wrong_epoch;
    co_return std::unexpected(state->describe(Consistency::quorum));
  }

  if (state->has_long_answer()) co_await long_turn();
  std::vector<ReadResult> results;
  std::vector<NodeId> nodes;
  for (auto& answer : state->answers) {
    auto result = ReadResult::decode(answer.bytes);
    if (!result) co_return std::unexpected(failure_of(result.error()));
    results.push_back(std::move(*result));
    nodes.push_back(answer.node);
  }
  auto merged = merge_results(state->command, std::move(results));
  if (!merged) co_return std::unexpected(failure_of(merged.error()));
  auto repairing = std::make_shared<WriteState>();
  TaskGroup repairs(executor_);
  Tally::Quota now{state->now.nodes, state->now.required}, next{state->next.nodes, state->next.required};
  for (NodeId node : nodes)
    for (Tally::Quota* quota : {&now, &next}) quota->received += quota->counts(node);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (merged->repairs[i].empty()) continue;
    ++counters_.read_repairs;
    repairs.spawn([](Coordinator& self, NodeId node, std::vector<Bytes> mutations, RequestView view, Instant until,
                     Tally::Quota& first_quota, Tally::Quota& second_quota) -> Task<void> {
      for (Bytes& mutation : mutations) {
        Status sent;
        if (node == self.options_.self) {
          std::vector<Bytes> own;
          own.push_back(std::move(mutation));
          sent = co_await self.replicas_.write_all(view, std::move(own), until);
        } else {
          sent = co_await ReplicaService::bring(self.rpc_, self.cluster_, node, view, mutation, until,
                                                RpcPriority::request);
        }
        if (!sent) {
          for (Tally::Quota* quota : {&first_quota, &second_quota}) quota->received -= quota->counts(node);
          co_return;
        }
      }
    }(*this, nodes[i], std::move(merged->repairs[i]), state->view, deadline, now, next));
  }
  co_await repairs.join();
  // A later read must not see less than this one: the level counts replicas that have what is returned.
  if (!now.reached() || !next.reached()) {
    RequestFailure failed = failure(RequestFailure::Kind::timeout, "replicas that differ could not be repaired");
    const Tally::Quota& missed = now.reached() ? next : now;
    failed.required = missed.required;
    failed.received = missed.received;
    failed.data_present = true;
    co_return std::unexpected(std::move(failed));
  }
  auto live = live_page(merged->merged.encode(), state->command.now_s);
  if (!live) co_return std::unexpected(failure_of(live.error()));
  limit_page(state->command, *live);
  co_return std::move(*live);
}

Task<Served<ReadPage>> Coordinator::read(TablePtr table, ReadCommand command, Consistency consistency,
                                         Instant deadline) {
  ++counters_.reads;
  auto permit = requests_.try_acquire();
  if (!permit) co_return std::unexpected(failure(RequestFailure::Kind::overloaded, "too many requests are under way"));
  const Bytes asked_to = command.to;
  while (true) {
    auto routed = route_read(table, command, consistency);
    if (!routed) co_return std::unexpected(failure_of(routed.error()));
    bool retry = false;
    auto page = co_await read_once(command, *routed, consistency, deadline, retry);
    if (page) {
      end_page(command, asked_to, *page);
      co_return page;
    }
    page.error().consistency = consistency;
    if (!retry || executor_.now() + retry_delay >= deadline) {
      ++counters_.failures;
      co_return page;
    }
    co_await sleep_for(retry_delay);
    command.to = asked_to;
  }
}

}  // namespace asterism::datastore
