// One answer of a replica, read in slices: a long one gives up the core between them.
#pragma once

#include "datastore/replica.h"

namespace asterism::datastore {

/// Reads what a ReadCommand asks for. A slice sees exactly what is durable when it runs: every row is whole, and rows
/// that a later slice reads may be newer than those before. Between slices nothing of the store is held.
///
/// Where an answer is cut depends on what is stored and on the bounds only, not on the caches nor on time, so that
/// equal replicas give equal answers. Used by one core.
class ReplicaRead {
 public:
  /// What ends an answer, which then is not complete. A step is a row or the beginning of a partition; what has to be
  /// looked up counts for several. Whatever the bounds are, an answer gets on.
  struct Bounds {
    uint64_t bytes = 0;
    uint32_t steps = UINT32_MAX;
  };

  /// All but the bounds must outlive it.
  ReplicaRead(Replica& replica, const ReadCommand& command, Bounds bounds)
      : replica_(replica), command_(command), bounds_(bounds) {}
  /// With the bounds of answers to clients.
  ReplicaRead(Replica& replica, const ReadCommand& command);
  ReplicaRead(const ReplicaRead&) = delete;

  const ReadCommand& command() const { return command_; }

  // True: the answer is whole. False: there is more to read. Errors: corrupt (stored bytes are damaged), io.

  /// The first slice, once: what short reads need.
  Result<bool> begin();
  /// Every other one, in a turn of its own (long_turn()): holds the core for some ReplicaOptions::slice_time. One that
  /// waits for the disk may take a few reads of it longer.
  Result<bool> go_on();
  /// Everything in one slice. Instead of both.
  Result<bool> run_through();
  /// What it took; of a range, also the first and last token that it looked at.
  uint32_t steps() const { return steps_; }
  size_t bytes() const { return out_.bytes(); }
  std::pair<int64_t, int64_t> tokens() const;

  /// The encoded ReadResult, once it is whole.
  Bytes take() && { return std::move(out_).finish(complete_, next_); }

  static constexpr uint32_t first_slice_steps = 512;
  static constexpr uint64_t first_slice_bytes = 128 << 10;

 private:
  static constexpr uint32_t steps_between_looks = 64, steps_of_a_lookup = 8;

  Result<bool> run();
  Result<bool> single();
  Result<bool> range();
  Status begin_partition(int64_t token, BytesView key, BytesView head, BytesView static_row);
  void end_partition();
  Status add_row(BytesView clustering, BytesView value);
  bool at_bounds() const { return progress_ && (out_.bytes() >= bounds_.bytes || steps_ >= bounds_.steps); }
  bool at_limit() const { return live_rows_ >= command_.row_limit || at_bounds(); }
  bool partition_full() const { return live_in_partition_ >= command_.per_partition_limit; }
  bool slice_over() { return (steps_ >= look_at_steps_ || out_.bytes() >= look_at_bytes_) && time_is_up(); }
  bool time_is_up();
  void stop_before(BytesView clustering);
  /// The nth in reading order.
  const Slice& slice(size_t n) const;
  Result<bool> read_keys();
  Result<bool> read_slices();
  Result<bool> read_slice();
  Status read_cached(const SliceCache::Stretch& stretch, BytesView from, BytesView to);
  Status read_store(const Bytes& from, const Bytes& to);
  void leave_off_at(BytesView key);
  Status read_top_from(KeyValueStore::Iterator& it, const KeyParts& parts);

  Replica& replica_;
  const ReadCommand& command_;
  Bounds bounds_;
  ReadResultWriter out_;
  bool complete_ = true;
  Bytes next_;

  // How far it is.
  uint32_t steps_ = 0, look_at_steps_ = 0;
  uint64_t look_at_bytes_ = 0;
  Instant until_ = Instant::never();
  bool begun_ = false, progress_ = false, paused_ = false;
  std::optional<KeyValueStore::Iterator> rows_;  // of this slice
  Bytes prefix_;                                 // of the partition, of its rows where slices are read
  bool open_ = false;                            // of a range: the partition has been begun
  size_t slices_read_ = 0;
  Bytes from_, to_;  // what is left of a slice that has been begun; of a range, where it goes on

  // Of the partition.
  PartitionHead head_;
  bool has_head_ = false, empty_ = true, static_live_ = false;
  uint32_t live_rows_ = 0, live_in_partition_ = 0;
};

}  // namespace asterism::datastore
