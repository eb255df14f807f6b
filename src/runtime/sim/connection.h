// One simulated TCP connection: both ends and what is between them. Private to this folder.
#pragma once

#include <deque>
#include <optional>

#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism::sim {

struct NetworkFabric::Link {
  uint32_t from = 0, to = 0;
  std::optional<LinkOptions> options;  // else the network's
  bool blocked = false;
  Instant blocked_since{0};
  Instant clogged_until{0};
  Instant busy_until{0};
};

struct NetworkFabric::Dial {
  Machine* from = nullptr;
  Address to;
  Address local;
  Callback<std::unique_ptr<Stream>> done;
  Instant deadline{0};
  Duration retry{1s};
  uint64_t id = 0;
  bool open = true;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// Side 0 dialled.
  Connection(NetworkFabric& fabric, uint64_t id, Machine& dialler, Address from, Machine& listener, Address to);

  // What a stream calls.
  std::unique_ptr<Stream> attach(int side);
  void read(int side, size_t max_bytes, Callback<Bytes> done);
  void write(int side, std::vector<Bytes> pieces, Callback<void> done);
  Result<size_t> try_write(int side, BytesView bytes);
  void close(int side);
  void detach(int side);
  const Address& address(int side) const { return sides_[side].address; }

  // What the network does to it.

  /// Both ends see a reset once it reaches them.
  void reset();
  /// The process or the whole machine at this end is gone.
  void end_gone(int side, bool silent);
  bool between(uint32_t a, uint32_t b) const;
  bool touches(uint32_t machine) const { return index(0) == machine || index(1) == machine; }
  uint32_t index(int side) const { return sides_[side].machine->index(); }
  /// Nothing may pass before this instant: the handshake is not over.
  void not_before(int side, Instant at) { sides_[side].last_arrival = at; }
  /// Tries again what was held back in either direction.
  void resume();

 private:
  struct Segment {
    enum class Kind : uint8_t { data, end, reset } kind;
    Bytes bytes;
    Instant at;
  };
  struct Side {
    Machine* machine = nullptr;
    Address address;
    bool attached = false;  // a stream exists, or will
    bool gone = false;      // nothing here takes bytes any more
    bool failed = false;    // the connection was reset
    bool closed = false;    // by its own close()
    bool ended = false;     // the other end's last byte is in `received`
    bool poked = false;
    bool held = false;         // segments wait for a partition to heal or a machine to return
    bool window_held = false;  // the news that there is room cannot reach this end
    EventId watch;             // resets the other end when bytes stay stuck
    Callback<Bytes> read_done;
    size_t read_max = 0;
    Callback<void> write_done;
    std::deque<Bytes> unsent;
    std::deque<Segment> in_flight;  // towards this end
    std::deque<Bytes> received;
    size_t buffered = 0;  // bytes in flight and received
    Instant last_arrival{0};
  };

  NetworkFabric::Link& link_to(int side) { return *links_[side]; }
  static std::unexpected<Error> lost(const Side& end);
  size_t segment_size(int side, size_t size);
  void pump(int side);
  void send(int to, Segment::Kind kind, Bytes bytes);
  void arrived(int side);
  void take(int side, Segment segment);
  void hold(int side);
  void refuse(int side);
  void room(int side);
  void fail_side(int side);
  void poke(int side);
  void serve(int side);
  void serve_read(Side& end, int side);
  void let_go(int side);

  NetworkFabric& fabric_;
  Simulation& simulation_;
  uint64_t id_;
  Side sides_[2];
  NetworkFabric::Link* links_[2];  // [i] leads to side i
};

class SimListener final : public Listener {
 public:
  SimListener(MachineNetwork& network, Address address);
  ~SimListener() override;
  void accept(Callback<std::unique_ptr<Stream>> done) override;
  Address local_address() const override { return address_; }

  bool full() const;
  void add(std::shared_ptr<Connection> connection);

 private:
  void poke();

  MachineNetwork& network_;
  Address address_;
  std::deque<std::shared_ptr<Connection>> backlog_;
  Callback<std::unique_ptr<Stream>> done_;
  std::shared_ptr<SimListener*> self_;  // emptied when the listener is destroyed
};

}  // namespace asterism::sim
