#include "node/live_feed.h"

#include <boost/json.hpp>

#include "node/change_report.h"
#include "node/node_rpc.h"

namespace asterism {
namespace {

constexpr Duration ask_limit = 400ms;
/// A node that is thought to be up and has not answered for so long is suspect.
constexpr Duration silence_max = 1200ms;

std::string name_of(const ClusterState& cluster, NodeId id) {
  const NodeInfo* node = cluster.node(id);
  return node != nullptr ? node->name : fmt::format("node {}", id);
}

const char* name_of(datastore::ColumnKind kind) {
  switch (kind) {
    case datastore::ColumnKind::partition_key:
      return "partition key";
    case datastore::ColumnKind::clustering:
      return "clustering";
    case datastore::ColumnKind::static_:
      return "static";
    case datastore::ColumnKind::regular:
      break;
  }
  return "regular";
}

}  // namespace

/// What one console has been told.
struct LiveFeed::Console {
  std::string keyspace;
  bool gone = false, chosen = false;
  uint64_t view = 0, events = 0;
  std::optional<uint64_t> schema;
  std::optional<uint64_t> shards;  // the metadata index
};

LiveFeed::LiveFeed(Node& node, Executor& executor, NodeHost* host)
    : node_(node),
      executor_(executor),
      host_(host),
      self_(std::make_shared<LiveFeed*>(this)),
      keyspaces_(node.schema().keyspaces()),
      schema_index_(node.schema().version_index()),
      change_(node.cluster().change()),
      tasks_(executor) {
  node.liveness().on_change([weak = std::weak_ptr(self_)](NodeId id, bool up) {
    if (auto self = weak.lock()) (*self)->node_changed(id, up);
  });
  node.metadata().state().on_change([weak = std::weak_ptr(self_)] {
    if (auto self = weak.lock()) (*self)->metadata_changed();
  });
  for (const auto& [id, member] : node.cluster().nodes()) names_[id] = member.name;
  tasks_.spawn(push_loop());
}

LiveFeed::~LiveFeed() { tasks_.cancel(); }

// Events.

void LiveFeed::note(std::string kind, std::string text) {
  if (events_.size() == events_max) events_.pop_front();
  events_.push_back({next_event_++, executor_.clock().wall_now().us, std::move(kind), std::move(text)});
}

void LiveFeed::node_changed(NodeId node, bool up) {
  note(up ? "up" : "down", fmt::format("{} {}", name_of(node_.cluster(), node), up ? "is up" : "went down"));
  if (consoles_ > 0) publish();
}

void LiveFeed::metadata_changed() {
  schema_changed();
  members_changed();
}

void LiveFeed::members_changed() {
  const ClusterState& cluster = node_.cluster();
  const auto& now = cluster.change();
  const auto before = std::exchange(change_, now);
  const bool same = now && before && now->began == before->began;
  if (before && !same) {
    const std::string name = before->comes ? before->comes->name : names_[before->leaves];
    const bool member = cluster.nodes().contains(before->subject());
    if (before->cancelled)
      note("member", fmt::format("{} is {}: the change was turned back", name, member ? "a member as before" : "gone"));
    else
      note("member", member ? fmt::format("{} is a member: {} shards moved", name, before->shards)
                            : fmt::format("{} has left the cluster: {} shards moved", name, before->shards));
  }
  names_.clear();
  for (const auto& [id, node] : cluster.nodes()) names_[id] = node.name;
  if (now && !same) note("member", fmt::format("{}: {} shards move", describe_change(cluster, *now), now->shards));
  if (same && now->cancelled && !before->cancelled)
    note("member", fmt::format("{} goes back to what it was", name_of(cluster, now->subject())));
  if (consoles_ > 0 && (!same || now->cancelled != before->cancelled)) publish();
}

void LiveFeed::schema_changed() {
  if (schema_index_ == node_.schema().version_index()) return;
  schema_index_ = node_.schema().version_index();
  using Change = cql::wire::SchemaChange::Change;
  for (const auto& change : cql::schema_changes(keyspaces_, node_.schema().keyspaces())) {
    const char* what = change.change == Change::created   ? "was created"
                       : change.change == Change::updated ? "was changed"
                                                          : "was dropped";
    note("schema", change.name.empty() ? fmt::format("keyspace {} {}", change.keyspace, what)
                                       : fmt::format("table {}.{} {}", change.keyspace, change.name, what));
  }
  keyspaces_ = node_.schema().keyspaces();
}

/// What shows in counters alone is seen while somebody looks.
void LiveFeed::watch_counters() {
  if (const NodeId leader = node_.metadata().leader(); leader && leader != leader_) {
    if (leader_) note("leader", fmt::format("{} leads the metadata log", name_of(node_.cluster(), leader)));
    leader_ = leader;
  }
  const uint64_t hints = node_.hints().waiting();
  if (hints == 0 && hints_ > 0) note("repair", fmt::format("{} handed over all hints", node_.config().name));
  hints_ = hints;
  const uint64_t differing = node_.anti_entropy().counters().differing;
  if (differing > differing_)
    note("repair", fmt::format("{} found replicas that differ and repairs them", node_.config().name));
  differing_ = differing;
}

// Looking round.

Task<void> LiveFeed::push_loop() {
  while (true) {
    while (consoles_ == 0) co_await wanted_.wait();
    ask_others();
    watch_counters();
    publish();
    co_await sleep_for(push_every);
  }
}

void LiveFeed::ask_others() {
  std::vector<NodeId> others;
  for (const auto& [id, node] : node_.cluster().nodes()) others.push_back(id);
  if (const auto& change = node_.cluster().change(); change && change->comes) others.push_back(change->comes->id);
  for (const NodeId id : others) {
    if (id == node_.config().id || peers_[id].asking || !node_.liveness().up(id)) continue;
    peers_[id].asking = true;
    tasks_.spawn(ask(id));
  }
  std::erase_if(
      peers_, [&](const auto& entry) { return node_.cluster().node(entry.first) == nullptr && !entry.second.asking; });
  if (host_ == nullptr || !host_->is_supervised() || asking_supervisor_) return;
  asking_supervisor_ = true;
  tasks_.spawn(ask_supervisor());
}

Task<void> LiveFeed::ask(NodeId node) {
  auto answer = co_await node_.rpc().call(node, rpc_method::node_load, {}, executor_.now() + ask_limit);
  Peer& peer = peers_[node];
  peer.asking = false;
  if (!answer) co_return;
  boost::json::error_code bad;
  boost::json::value load = boost::json::parse(*answer, bad);
  if (bad || !load.is_object()) co_return;
  peer.load = std::move(load.get_object());
  peer.heard = executor_.now();
}

Task<void> LiveFeed::ask_supervisor() {
  auto answer = co_await host_->ask_supervisor(R"({"action":"list"})");
  asking_supervisor_ = false;
  boost::json::error_code bad;
  const boost::json::value value = answer ? boost::json::parse(*answer, bad) : boost::json::value();
  const boost::json::object* object = value.if_object();
  const boost::json::value* nodes = object && !bad ? object->if_contains("nodes") : nullptr;
  processes_ = nodes && nodes->is_object() ? nodes->get_object() : boost::json::object();
  const boost::json::value* problem = object && !bad ? object->if_contains("problem") : nullptr;
  if (!problem || !problem->is_string() || supervisor_problem_ == problem->get_string()) co_return;
  supervisor_problem_ = std::string(problem->get_string());
  note("down", supervisor_problem_);
}

// Telling.

/// What it is at most; "joining" and "leaving" are part of the change.
std::string_view LiveFeed::state_of(const NodeInfo& node, Peer& peer) {
  const auto& change = node_.cluster().change();
  const bool comes = change && change->comes && change->comes->id == node.id;
  if (!node_.liveness().up(node.id)) return comes ? "joining" : "down";
  if (peer.load && executor_.now() - peer.heard > silence_max) return "suspect";
  if (comes) return "joining";
  if (peer.load)
    if (const auto* said = peer.load->if_contains("state"); said && said->is_string() && *said != "serving")
      return said->get_string();
  return change && !change->cancelled && change->leaves == node.id ? "leaving" : "up";
}

void LiveFeed::watch_state(const NodeInfo& node, std::string_view state) {
  std::string& before = peers_[node.id].state;
  if (before == state) return;
  if (state == "draining") note("member", node.name + " is drained: it sends its clients elsewhere");
  if (state == "drained") note("member", node.name + " is drained: it may be stopped");
  before = state;
}

boost::json::object LiveFeed::node_object(const NodeInfo& node) {
  const bool self = node.id == node_.config().id;
  boost::json::object out{{"id", node.id.value},     {"name", node.name},         {"address", node.host},
                          {"cql", node.port("cql")}, {"http", node.port("http")}, {"datacenter", node.place.datacenter},
                          {"rack", node.place.rack}};
  Peer& peer = peers_[node.id];
  if (self) {
    peer.load = node_.load();
    peer.heard = executor_.now();
  }
  if (!node_.liveness().up(node.id)) peer.load.reset();
  const std::string_view state = state_of(node, peer);
  watch_state(node, state);
  out["state"] = state;
  if (peer.load) out["load"] = *peer.load;
  if (const boost::json::value* process = processes_.if_contains(node.name)) out["process"] = *process;
  return out;
}

std::string LiveFeed::view_message() {
  boost::json::array nodes;
  for (const auto& [id, node] : node_.cluster().nodes()) nodes.push_back(node_object(node));
  const auto& change = node_.cluster().change();
  if (change && change->comes) nodes.push_back(node_object(*change->comes));
  const NodeId leader = node_.metadata().leader();
  boost::json::object view{{"type", "view"},
                           {"self", node_.config().name},
                           {"cluster", node_.config().cluster_name},
                           {"leader", leader ? name_of(node_.cluster(), leader) : std::string()},
                           {"local", host_ != nullptr && host_->is_supervised()},
                           {"shards", node_.cluster().shards().size()},
                           {"nodes", std::move(nodes)}};
  if (auto report = change_report(node_.cluster())) {
    view["change"] = std::move(*report);
    view["moves"] = moves_between_nodes(node_.cluster());
  }
  return boost::json::serialize(view);
}

std::string LiveFeed::schema_message() const {
  boost::json::array keyspaces;
  for (const auto& [name, keyspace] : node_.schema().keyspaces()) {
    boost::json::array tables;
    for (const auto& [table_name, table] : keyspace.tables) {
      boost::json::array columns;
      for (const datastore::Column& column : table->columns)
        columns.push_back({{"name", column.name}, {"type", column.type.to_string()}, {"kind", name_of(column.kind)}});
      tables.push_back({{"name", table_name}, {"columns", std::move(columns)}});
    }
    boost::json::object replication;
    for (const auto& [key, value] : keyspace.replication) replication[key] = value;
    keyspaces.push_back({{"name", name}, {"replication", std::move(replication)}, {"tables", std::move(tables)}});
  }
  return boost::json::serialize(boost::json::object{{"type", "schema"}, {"keyspaces", std::move(keyspaces)}});
}

std::string LiveFeed::shards_message(const std::string& keyspace) const {
  boost::json::array shards;
  for (const Shard* shard : node_.cluster().shards_of(keyspace)) {
    boost::json::array replicas;
    for (NodeId replica : shard->replicas) replicas.emplace_back(replica.value);
    // Tokens as text: a number of JavaScript holds 53 bits.
    boost::json::object out{{"after", std::to_string(shard->range.after)},
                            {"to", std::to_string(shard->range.to)},
                            {"replicas", std::move(replicas)}};
    if (shard->moving()) {
      boost::json::array target;
      for (NodeId replica : shard->target) target.emplace_back(replica.value);
      out["target"] = std::move(target);
      out["settling"] = shard->settling;
    }
    shards.push_back(std::move(out));
  }
  return boost::json::serialize(
      boost::json::object{{"type", "shards"}, {"keyspace", keyspace}, {"shards", std::move(shards)}});
}

std::string LiveFeed::events_message(uint64_t after) const {
  boost::json::array events;
  for (const Happened& event : events_)
    if (event.number > after)
      events.push_back(
          {{"number", event.number}, {"at_ms", event.at_us / 1000}, {"kind", event.kind}, {"text", event.text}});
  return boost::json::serialize(boost::json::object{{"type", "events"}, {"events", std::move(events)}});
}

void LiveFeed::publish() {
  view_ = std::make_shared<const std::string>(view_message());
  ++view_number_;
  changed_.wake_all();
}

Task<Status> LiveFeed::send_news(WebSocketConnection& socket, Console& console) {
  const uint64_t schema = node_.schema().version_index();
  if (console.schema != schema) {
    console.schema = schema;
    CO_TRY_STATUS(co_await socket.send(schema_message()));
  }
  const uint64_t metadata = node_.metadata().applied_index();
  if (console.chosen && console.shards != metadata) {
    console.shards = metadata;
    CO_TRY_STATUS(co_await socket.send(shards_message(console.keyspace)));
  }
  if (console.view != view_number_) {
    console.view = view_number_;
    CO_TRY_STATUS(co_await socket.send(*std::shared_ptr(view_)));
  }
  if (console.events + 1 < next_event_) {
    const uint64_t after = std::exchange(console.events, next_event_ - 1);
    CO_TRY_STATUS(co_await socket.send(events_message(after)));
  }
  co_return Status();
}

Task<void> LiveFeed::read_choices(WebSocketConnection& socket, std::shared_ptr<Console> console) {
  while (auto message = co_await socket.receive()) {
    boost::json::error_code bad;
    const boost::json::value value = boost::json::parse(message->payload, bad);
    const boost::json::object* object = bad ? nullptr : value.if_object();
    const boost::json::value* keyspace = object ? object->if_contains("keyspace") : nullptr;
    if (!keyspace || !keyspace->is_string()) continue;
    console->keyspace.assign(keyspace->get_string().data(), keyspace->get_string().size());
    console->chosen = true;
    console->shards.reset();
    changed_.wake_all();
  }
  console->gone = true;
  changed_.wake_all();
}

Task<void> LiveFeed::serve(WebSocketConnection& socket) {
  // Counted however the frame ends.
  struct Count {
    explicit Count(size_t& of) : count(++of) {}
    ~Count() { --count; }
    size_t& count;
  } one(consoles_);
  auto console = std::make_shared<Console>();
  TaskGroup reading(executor_);
  reading.spawn(read_choices(socket, console));
  watch_counters();
  publish();
  wanted_.wake_one();
  while (!console->gone && co_await send_news(socket, *console)) {
    const bool up_to_date = console->view == view_number_ && (!console->chosen || console->shards);
    if (!console->gone && up_to_date) co_await changed_.wait();
  }
}

}  // namespace asterism
