#include "runtime/sim/connection.h"

namespace asterism::sim {

namespace {

class SimStream final : public Stream {
 public:
  SimStream(std::shared_ptr<Connection> connection, int side) : connection_(std::move(connection)), side_(side) {}
  ~SimStream() override { connection_->detach(side_); }
  void read(size_t max_bytes, Callback<Bytes> done) override { connection_->read(side_, max_bytes, std::move(done)); }
  void write(std::vector<Bytes> pieces, Callback<void> done) override {
    connection_->write(side_, std::move(pieces), std::move(done));
  }
  Result<size_t> try_write(BytesView bytes) override { return connection_->try_write(side_, bytes); }
  void close() override { connection_->close(side_); }
  Address local_address() const override { return connection_->address(side_); }
  Address remote_address() const override { return connection_->address(1 - side_); }

 private:
  std::shared_ptr<Connection> connection_;
  int side_;
};

}  // namespace

Connection::Connection(NetworkFabric& fabric, uint64_t id, Machine& dialler, Address from, Machine& listener,
                       Address to)
    : fabric_(fabric), simulation_(fabric.simulation_), id_(id) {
  sides_[0].machine = &dialler;
  sides_[0].address = std::move(from);
  sides_[1].machine = &listener;
  sides_[1].address = std::move(to);
  links_[0] = &fabric.link(listener.index(), dialler.index());
  links_[1] = &fabric.link(dialler.index(), listener.index());
}

bool Connection::between(uint32_t a, uint32_t b) const {
  return (index(0) == a && index(1) == b) || (index(0) == b && index(1) == a);
}

std::unexpected<Error> Connection::lost(const Side& end) {
  return fail(ErrorCode::closed, "{}", end.closed ? "the stream was closed" : "the connection was reset");
}

std::unique_ptr<Stream> Connection::attach(int side) {
  sides_[side].attached = true;
  return std::make_unique<SimStream>(shared_from_this(), side);
}

void Connection::read(int side, size_t max_bytes, Callback<Bytes> done) {
  Side& end = sides_[side];
  ASSERT(!end.read_done && max_bytes > 0);
  end.read_done = std::move(done);
  end.read_max = max_bytes;
  if (!end.received.empty() || end.ended || end.failed || end.closed) poke(side);
}

void Connection::write(int side, std::vector<Bytes> pieces, Callback<void> done) {
  Side& end = sides_[side];
  ASSERT(!end.write_done);
  end.write_done = std::move(done);
  if (!end.failed && !end.closed)
    for (Bytes& piece : pieces)
      if (!piece.empty()) end.unsent.push_back(std::move(piece));
  if (end.unsent.empty())
    poke(side);
  else
    pump(side);
}

Result<size_t> Connection::try_write(int side, BytesView bytes) {
  Side& end = sides_[side];
  ASSERT(!end.write_done);
  if (end.closed || end.failed) return lost(end);
  // One in eight finds a buffer that is nearly full.
  if (fabric_.luck_.below(8) == 0) bytes = bytes.substr(0, fabric_.luck_.below(bytes.size() + 1));
  size_t taken = 0;
  while (taken < bytes.size()) {
    const size_t size = segment_size(side, bytes.size() - taken);
    if (size == 0) break;
    send(1 - side, Segment::Kind::data, Bytes(bytes.substr(taken, size)));
    taken += size;
  }
  return taken;
}

/// How many of `size` bytes go as the next segment, for which it takes room in the window; 0 where that is full.
size_t Connection::segment_size(int side, size_t size) {
  const NetworkOptions& options = fabric_.options_;
  size_t& buffered = sides_[1 - side].buffered;
  if (buffered >= options.window_bytes) return 0;
  size = std::min({size, options.segment_bytes_max, options.window_bytes - buffered});
  // Three of four go as one where they fit; the others are cut anywhere.
  if (fabric_.luck_.below(4) == 0) size = 1 + fabric_.luck_.below(size);
  buffered += size;
  return size;
}

void Connection::pump(int side) {
  Side& end = sides_[side];
  while (!end.unsent.empty()) {
    Bytes& piece = end.unsent.front();
    const size_t size = segment_size(side, piece.size());
    if (size == 0) break;
    if (size == piece.size()) {
      send(1 - side, Segment::Kind::data, std::move(piece));
      end.unsent.pop_front();
    } else {
      send(1 - side, Segment::Kind::data, piece.substr(0, size));
      piece.erase(0, size);
    }
  }
  if (end.unsent.empty() && end.write_done) poke(side);
}

void Connection::send(int to, Segment::Kind kind, Bytes bytes) {
  Side& end = sides_[to];
  const Instant at = std::max(fabric_.arrival(link_to(to), bytes.size()), end.last_arrival + 1ns);
  end.last_arrival = at;
  simulation_.trace(EventKind::network, end.machine->index(), id_ << 2 | static_cast<uint64_t>(kind), bytes.size());
  end.in_flight.push_back({kind, std::move(bytes), at});
  simulation_.schedule(at, EventKind::network, end.machine->index(),
                       [self = shared_from_this(), to] { self->arrived(to); });
}

/// Bytes reach this end's machine, unless something stands between.
void Connection::arrived(int side) {
  Side& end = sides_[side];
  if (end.in_flight.empty()) return;
  if (link_to(side).blocked || !end.machine->powered()) {
    hold(side);
    return;
  }
  end.held = false;
  while (!end.in_flight.empty() && end.in_flight.front().at <= simulation_.now()) {
    Segment segment = std::move(end.in_flight.front());
    end.in_flight.pop_front();
    take(side, std::move(segment));
  }
  // The sender hears nothing while its acknowledgements cannot pass, and gives up in the end.
  if (link_to(1 - side).blocked && !sides_[1 - side].gone) hold(side);
}

void Connection::take(int side, Segment segment) {
  Side& end = sides_[side];
  if (segment.kind == Segment::Kind::reset) {
    if (!end.gone) fail_side(side);
    return;
  }
  if (end.gone) {
    if (segment.kind == Segment::Kind::data) refuse(side);
    return;
  }
  if (segment.kind == Segment::Kind::end)
    end.ended = true;
  else
    end.received.push_back(std::move(segment.bytes));
  if (end.read_done) poke(side);
}

void Connection::hold(int side) {
  Side& end = sides_[side];
  end.held = true;
  if (end.watch) return;
  const Instant since = simulation_.now();
  end.watch = simulation_.schedule(since + fabric_.options_.reset_after, EventKind::network,
                                   sides_[1 - side].machine->index(), [self = shared_from_this(), side, since] {
                                     Side& stuck = self->sides_[side];
                                     stuck.watch = {};
                                     NetworkFabric::Link &there = self->link_to(side), &back = self->link_to(1 - side);
                                     const bool cut = (there.blocked && there.blocked_since <= since) ||
                                                      (back.blocked && back.blocked_since <= since);
                                     if (self->sides_[1 - side].gone || self->sides_[1 - side].failed) return;
                                     if (cut || !stuck.machine->powered()) {
                                       self->simulation_.count(Fault::connection_timeout);
                                       self->fail_side(1 - side);
                                       self->send(side, Segment::Kind::reset, {});
                                     } else if (stuck.held) {
                                       self->hold(side);
                                     }
                                   });
}

void Connection::resume() {
  for (int side : {0, 1}) {
    Side& end = sides_[side];
    if (end.held && !end.in_flight.empty() && !link_to(side).blocked && end.machine->powered()) {
      // The sender tries again after a pause that has grown meanwhile.
      end.held = false;
      const Instant at = fabric_.arrival(link_to(side), 0) + random_between(fabric_.luck_, 0ns, 1s);
      simulation_.schedule(at, EventKind::network, end.machine->index(),
                           [self = shared_from_this(), side] { self->arrived(side); });
      for (Segment& segment : end.in_flight) segment.at = std::max(segment.at, at);
      end.last_arrival = std::max(end.last_arrival, at);
    }
    if (end.window_held && !link_to(side).blocked) {
      end.window_held = false;
      room(1 - side);
    }
  }
}

/// Bytes for an end that is not there: its machine answers with a reset.
void Connection::refuse(int side) {
  if (sides_[1 - side].gone) return;
  send(1 - side, Segment::Kind::reset, {});
}

/// This end was read from; the other may send more once it hears of it.
void Connection::room(int side) {
  Side& peer = sides_[1 - side];
  if (peer.unsent.empty() || peer.gone) return;
  // Small news of room would be answered by ever smaller segments.
  if (sides_[side].buffered > fabric_.options_.window_bytes / 4 * 3) return;
  if (link_to(1 - side).blocked) {
    peer.window_held = true;
    return;
  }
  simulation_.schedule(fabric_.arrival(link_to(1 - side), 0), EventKind::network, peer.machine->index(),
                       [self = shared_from_this(), side] { self->pump(1 - side); });
}

void Connection::fail_side(int side) {
  Side& end = sides_[side];
  if (end.failed) return;
  simulation_.count(Fault::connection_reset);
  end.failed = true;
  end.unsent.clear();
  poke(side);
  let_go(side);
}

void Connection::reset() {
  for (int side : {0, 1})
    if (!sides_[side].gone) send(side, Segment::Kind::reset, {});
}

void Connection::end_gone(int side, bool silent) {
  Side& end = sides_[side];
  if (end.gone) return;
  end.failed = true;
  end.unsent.clear();
  end.received.clear();
  if (silent) {
    simulation_.count(Fault::half_open);
  } else if (!sides_[1 - side].gone) {
    send(1 - side, fabric_.luck_.chance(0.5) ? Segment::Kind::reset : Segment::Kind::end, {});
  }
  let_go(side);
}

void Connection::close(int side) {
  Side& end = sides_[side];
  if (end.closed) return;
  end.closed = true;
  end.unsent.clear();
  const bool unread = !end.received.empty();
  end.received.clear();
  if (!end.failed && !sides_[1 - side].gone) send(1 - side, unread ? Segment::Kind::reset : Segment::Kind::end, {});
  poke(side);
  let_go(side);
}

void Connection::detach(int side) {
  Side& end = sides_[side];
  end.attached = false;
  close(side);
  // Moved out: a dropped callback may own the last reference to something that calls back here.
  auto read_done = std::move(end.read_done);
  auto write_done = std::move(end.write_done);
  end.read_done = nullptr;
  end.write_done = nullptr;
}

void Connection::let_go(int side) {
  sides_[side].gone = true;
  if (!sides_[1 - side].gone) return;
  // What is still under way to a reader that is gone matters to nobody.
  for (Side& end : sides_) {
    simulation_.cancel(end.watch);
    end.watch = {};
  }
  fabric_.connections_.erase(id_);
}

void Connection::poke(int side) {
  Side& end = sides_[side];
  if (end.poked || !end.machine->running()) return;
  end.poked = true;
  end.machine->complete([self = shared_from_this(), side] { self->serve(side); });
}

void Connection::serve(int side) {
  Side& end = sides_[side];
  end.poked = false;
  if (end.write_done && end.attached && (end.unsent.empty() || end.failed || end.closed)) {
    auto done = std::move(end.write_done);
    end.write_done = nullptr;
    if (end.closed || end.failed)
      done(lost(end));
    else
      done({});
  }
  if (end.read_done && end.attached) serve_read(end, side);
}

void Connection::serve_read(Side& end, int side) {
  Result<Bytes> result;
  if (!end.closed && !end.received.empty()) {
    Bytes& first = end.received.front();
    if (first.size() <= end.read_max) {
      result = std::move(first);
      end.received.pop_front();
    } else {
      result = first.substr(0, end.read_max);
      first.erase(0, end.read_max);
    }
    end.buffered -= result->size();
    room(side);
  } else if (end.closed || end.failed) {
    result = lost(end);
  } else if (!end.ended) {
    return;
  }
  auto done = std::move(end.read_done);
  end.read_done = nullptr;
  done(std::move(result));
}

SimListener::SimListener(MachineNetwork& network, Address address)
    : network_(network), address_(std::move(address)), self_(std::make_shared<SimListener*>(this)) {
  network_.listeners_[address_.port] = this;
}

SimListener::~SimListener() {
  *self_ = nullptr;
  network_.listeners_.erase(address_.port);
  auto backlog = std::move(backlog_);
  for (auto& connection : backlog) connection->end_gone(1, !network_.machine_.powered());
}

bool SimListener::full() const { return backlog_.size() >= network_.fabric_.options_.backlog; }

void SimListener::add(std::shared_ptr<Connection> connection) {
  backlog_.push_back(std::move(connection));
  if (done_) poke();
}

void SimListener::accept(Callback<std::unique_ptr<Stream>> done) {
  ASSERT(!done_);
  done_ = std::move(done);
  if (!backlog_.empty()) poke();
}

void SimListener::poke() {
  network_.machine_.complete([self = self_] {
    SimListener* listener = *self;
    if (listener == nullptr || !listener->done_ || listener->backlog_.empty()) return;
    auto connection = std::move(listener->backlog_.front());
    listener->backlog_.pop_front();
    auto callback = std::move(listener->done_);
    listener->done_ = nullptr;
    callback(connection->attach(1));
  });
}

}  // namespace asterism::sim
