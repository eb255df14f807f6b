#include "runtime/sim/sim_network.h"

#include "runtime/sim/connection.h"

namespace asterism::sim {

NetworkFabric::NetworkFabric(Simulation& simulation) : simulation_(simulation), luck_(simulation.stream(3)) {}
NetworkFabric::~NetworkFabric() = default;

void NetworkFabric::attach(Machine& machine) { ASSERT(hosts_.emplace(machine.host(), &machine).second); }

NetworkFabric::Link& NetworkFabric::link(uint32_t from, uint32_t to) {
  auto& found = links_[static_cast<uint64_t>(from) << 32 | to];
  if (!found) {
    found = std::make_unique<Link>();
    found->from = from;
    found->to = to;
  }
  return *found;
}

void NetworkFabric::set_link(uint32_t from, uint32_t to, LinkOptions options) { link(from, to).options = options; }

Instant NetworkFabric::arrival(Link& link, size_t bytes) {
  const LinkOptions& options = link.options ? *link.options : options_.link;
  const auto transfer =
      static_cast<int64_t>(static_cast<unsigned __int128>(bytes) * 1'000'000'000 / options.bytes_per_second);
  link.busy_until = std::max({simulation_.now(), link.busy_until, link.clogged_until}) + Duration(transfer);
  Instant at = link.busy_until + options.delay_base + random_exponential(luck_, options.delay_tail);
  if (options.loss > 0) {
    Duration wait = options.retransmit_after;
    for (int tries = 0; tries < 8 && luck_.chance(options.loss); ++tries, wait *= 2) {
      simulation_.count(Fault::retransmission);
      at = at + wait;
    }
  }
  return at;
}

void NetworkFabric::block(uint32_t from, uint32_t to) {
  Link& cut = link(from, to);
  if (from == to || cut.blocked) return;
  cut.blocked = true;
  cut.blocked_since = simulation_.now();
  simulation_.count(Fault::partition);
  simulation_.trace(EventKind::fault, from, to, 1);
}

void NetworkFabric::unblock(uint32_t from, uint32_t to) {
  Link& cut = link(from, to);
  if (!cut.blocked) return;
  cut.blocked = false;
  simulation_.count(Fault::heal);
  simulation_.trace(EventKind::fault, from, to, 2);
  resume([from, to](const Connection& each) { return each.between(from, to); });
}

bool NetworkFabric::blocked(uint32_t from, uint32_t to) const {
  auto found = links_.find(static_cast<uint64_t>(from) << 32 | to);
  return found != links_.end() && found->second->blocked;
}

void NetworkFabric::partition(const std::vector<uint32_t>& side, const std::vector<uint32_t>& other) {
  for (uint32_t a : side)
    for (uint32_t b : other) {
      block(a, b);
      block(b, a);
    }
}

void NetworkFabric::clog(uint32_t from, uint32_t to, Duration time) {
  Link& stalled = link(from, to);
  stalled.clogged_until = std::max(stalled.clogged_until, simulation_.now() + time);
  simulation_.count(Fault::clog);
}

void NetworkFabric::heal() {
  for (auto& [key, each] : links_) {
    if (each->blocked) simulation_.count(Fault::heal);
    each->blocked = false;
    each->clogged_until = simulation_.now();
    // What stood in line behind a clog goes at once.
    each->busy_until = std::min(each->busy_until, simulation_.now() + 1s);
  }
  resume([](const Connection&) { return true; });
}

void NetworkFabric::resume(const std::function<bool(const Connection&)>& concerned) {
  for (auto& [id, each] : connections_)
    if (concerned(*each)) each->resume();
}

size_t NetworkFabric::reset(uint32_t a, uint32_t b) {
  size_t count = 0;
  for (auto& [id, each] : connections_) {
    if (!each->between(a, b)) continue;
    each->reset();
    ++count;
  }
  return count;
}

size_t NetworkFabric::reset_some(Random& random, double probability) {
  size_t count = 0;
  for (auto& [id, each] : connections_) {
    if (!random.chance(probability)) continue;
    each->reset();
    ++count;
  }
  return count;
}

void NetworkFabric::crashed(Machine& machine, bool power) {
  std::vector<std::shared_ptr<Connection>> affected;  // letting go of one takes it out of the map
  for (auto& [id, each] : connections_)
    if (each->touches(machine.index())) affected.push_back(each);
  for (auto& each : affected)
    for (int side : {0, 1})
      if (each->index(side) == machine.index()) each->end_gone(side, power);
}

void NetworkFabric::started(Machine& machine) {
  resume([&](const Connection& each) { return each.touches(machine.index()); });
}

Machine* NetworkFabric::machine_at(Machine& from, const std::string& host) {
  if (host.starts_with("127.") || host == "::1") return &from;
  auto found = hosts_.find(host);
  return found == hosts_.end() ? nullptr : found->second;
}

/// One attempt: the first packet goes out, and whatever answers it comes back.
void NetworkFabric::knock(const std::shared_ptr<Dial>& dial) {
  if (!dial->open) return;
  Machine* target = machine_at(*dial->from, dial->to.host);
  if (simulation_.now() >= dial->deadline) {
    simulation_.count(Fault::connection_timeout);
    finish(dial, fail(ErrorCode::unavailable, "{} does not answer", dial->to.to_string()));
    return;
  }
  const uint32_t from = dial->from->index();
  if (target != nullptr && !blocked(from, target->index())) {
    simulation_.schedule(arrival(link(from, target->index()), 0), EventKind::network, target->index(),
                         [this, dial, target] { answer(dial, *target); });
  }
  const Instant again = std::min(simulation_.now() + dial->retry, dial->deadline);
  dial->retry = std::min(dial->retry * 2, Duration(16s));
  simulation_.schedule(again, EventKind::network, from, [this, dial] { knock(dial); });
}

void NetworkFabric::answer(const std::shared_ptr<Dial>& dial, Machine& target) {
  const uint32_t from = dial->from->index();
  if (!dial->open || !target.powered() || blocked(target.index(), from)) return;
  const Instant back = arrival(link(target.index(), from), 0);
  auto& listeners = target.network_port().listeners_;
  auto listener = listeners.find(dial->to.port);
  if (!target.running() || listener == listeners.end()) {
    simulation_.schedule(back, EventKind::network, from, [this, dial] {
      if (!dial->open) return;
      simulation_.count(Fault::connection_refused);
      finish(dial, fail(ErrorCode::unavailable, "{} refuses connections", dial->to.to_string()));
    });
    return;
  }
  if (listener->second->full()) return;
  const uint64_t id = next_connection_++;
  auto connection = std::make_shared<Connection>(*this, id, *dial->from, dial->local, target, dial->to);
  connections_[id] = connection;
  connection->not_before(0, back);
  connection->not_before(1, back);
  listener->second->add(connection);
  simulation_.schedule(back, EventKind::network, from, [this, dial, connection] {
    if (dial->open)
      finish(dial, connection->attach(0));
    else
      connection->end_gone(0, false);
  });
}

void NetworkFabric::finish(const std::shared_ptr<Dial>& dial, Result<std::unique_ptr<Stream>> result) {
  dial->open = false;
  dial->from->complete([dial, result = std::move(result)]() mutable {
    auto& dials = dial->from->network_port().dials_;
    if (dials.erase(dial->id) == 0) return;
    auto done = std::move(dial->done);
    done(std::move(result));
  });
}

MachineNetwork::MachineNetwork(Machine& machine, NetworkFabric& fabric) : machine_(machine), fabric_(fabric) {}
MachineNetwork::~MachineNetwork() = default;

uint16_t MachineNetwork::free_port() {
  do {
    next_port_ = next_port_ == 65535 ? 32768 : next_port_ + 1;
  } while (listeners_.contains(next_port_));
  return next_port_;
}

Result<std::unique_ptr<Listener>> MachineNetwork::listen(const Address& address) {
  Address own = address;
  if (own.port == 0) own.port = free_port();
  if (listeners_.contains(own.port)) return fail(ErrorCode::already_exists, "port {} is in use", own.port);
  return std::make_unique<SimListener>(*this, std::move(own));
}

void MachineNetwork::connect(const Address& address, Callback<std::unique_ptr<Stream>> done) {
  auto dial = std::make_shared<NetworkFabric::Dial>();
  dial->from = &machine_;
  dial->to = address;
  dial->local = {machine_.host(), free_port()};
  dial->done = std::move(done);
  dial->deadline = machine_.simulation().now() + fabric_.options_.connect_timeout;
  dial->id = next_dial_++;
  dials_[dial->id] = dial;
  fabric_.knock(dial);
}

void MachineNetwork::drop_pending() {
  auto dials = std::move(dials_);
  dials_.clear();
  for (auto& [id, dial] : dials) {
    dial->open = false;
    auto done = std::move(dial->done);
    dial->done = nullptr;
  }
}

}  // namespace asterism::sim
