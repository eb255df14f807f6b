// The network between simulated machines: byte streams with TCP's promises and none besides.
//
// Within a stream bytes arrive once and in order; loss, duplication and reordering of packets show as delay. Between
// streams anything may overtake anything. Writes are cut into random segments. A partition holds bytes back, in one
// direction or both; when it heals they arrive late, and when it lasts the sender's connection is reset. A machine
// without power answers nothing; once it is back, old connections are reset when bytes reach it. A machine that runs no
// process refuses connections.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "ports/network.h"
#include "runtime/sim/simulation.h"

namespace asterism::sim {

class Machine;
class Connection;
class SimListener;

struct LinkOptions {
  Duration delay_base = 100us, delay_tail = 100us;
  uint64_t bytes_per_second = 1'000'000'000;
  /// How likely a segment is sent again, which delays it by `retransmit_after`, doubled each time.
  double loss = 0;
  Duration retransmit_after = 200ms;
};

struct NetworkOptions {
  LinkOptions link;
  /// Bytes between a writer and its reader before write() waits.
  size_t window_bytes = 256 << 10;
  /// Segments are of 1 to this many bytes.
  size_t segment_bytes_max = 64 << 10;
  Duration connect_timeout = 20s;
  /// A stream whose bytes cannot be delivered for so long is reset.
  Duration reset_after = 30s;
  size_t backlog = 128;
};

/// All links and connections. Links are directed: (from, to) by machine index.
class NetworkFabric {
 public:
  explicit NetworkFabric(Simulation& simulation);
  ~NetworkFabric();

  NetworkOptions& options() { return options_; }
  void set_link(uint32_t from, uint32_t to, LinkOptions options);

  // Faults. All of them are undone by heal().

  /// Drops what goes from one machine to the other, in this direction only.
  void block(uint32_t from, uint32_t to);
  void unblock(uint32_t from, uint32_t to);
  /// Cuts off every pair across the two sides, in both directions.
  void partition(const std::vector<uint32_t>& side, const std::vector<uint32_t>& other);
  /// Stalls the link for a while.
  void clog(uint32_t from, uint32_t to, Duration time);
  /// Resets every connection between the two machines. Returns how many.
  size_t reset(uint32_t a, uint32_t b);
  /// Resets connections at random with the given probability each.
  size_t reset_some(Random& random, double probability);
  bool blocked(uint32_t from, uint32_t to) const;
  void heal();

  size_t connection_count() const { return connections_.size(); }

  // For the machines.
  void attach(Machine& machine);
  void crashed(Machine& machine, bool power);
  void started(Machine& machine);

 private:
  friend class Connection;
  friend class SimListener;
  friend class MachineNetwork;
  struct Link;
  struct Dial;

  Link& link(uint32_t from, uint32_t to);
  /// When `bytes` that leave now arrive.
  Instant arrival(Link& link, size_t bytes);
  /// What was held back may go on.
  void resume(const std::function<bool(const Connection&)>& concerned);
  void knock(const std::shared_ptr<Dial>& dial);
  void answer(const std::shared_ptr<Dial>& dial, Machine& target);
  void finish(const std::shared_ptr<Dial>& dial, Result<std::unique_ptr<Stream>> result);
  Machine* machine_at(Machine& from, const std::string& host);

  Simulation& simulation_;
  NetworkOptions options_;
  SeededRandom luck_;
  uint64_t next_connection_ = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Link>> links_;  // its order matters to nothing
  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::map<std::string, Machine*> hosts_;
};

/// The Network port of one machine.
class MachineNetwork final : public Network {
 public:
  MachineNetwork(Machine& machine, NetworkFabric& fabric);
  ~MachineNetwork() override;
  Result<std::unique_ptr<Listener>> listen(const Address& address) override;
  void connect(const Address& address, Callback<std::unique_ptr<Stream>> done) override;

 private:
  friend class Machine;
  friend class NetworkFabric;
  friend class SimListener;

  /// Forgets dials of the process that ended.
  void drop_pending();
  uint16_t free_port();

  Machine& machine_;
  NetworkFabric& fabric_;
  std::map<uint16_t, SimListener*> listeners_;
  std::map<uint64_t, std::shared_ptr<NetworkFabric::Dial>> dials_;
  uint64_t next_dial_ = 0;
  uint16_t next_port_ = 32768;
};

}  // namespace asterism::sim
