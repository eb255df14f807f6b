// How far an import is: what is acknowledged of the input, and what of that is on disk so that it can go on.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism {

/// Everything in front of `offset` is stored in the cluster, or rejected.
struct ImportPosition {
  uint64_t offset = 0;  // in the input
  uint64_t line = 1;    // of what is at offset
  uint64_t rows = 0, rejected = 0;
  uint64_t rejects_bytes = 0;  // of the file of rejected rows
};

/// What a later run must know; kept beside the input.
struct ImportRecord {
  std::string settings;  // the table and how the input is read: another run must say the same
  std::vector<std::string> columns;
  int64_t timestamp_us = 0;
  ImportPosition position;
  std::string begin;  // hash of the input's first bytes, as many as begin_bytes
  uint64_t begin_bytes = 0;

  std::string to_text() const;
  /// Errors: corrupt.
  static Result<ImportRecord> parse(BytesView text);
};

/// Cuts the input into stretches, and knows up to which one every row is acknowledged.
class ImportTracker {
 public:
  explicit ImportTracker(ImportPosition from) : done_(from) {}

  /// Rows and rejects belong to the stretch that is open, of which there is always one.
  uint64_t stretch() const { return first_ + stretches_.size() - 1; }
  void add_row() { ++stretches_.back().waiting, ++stretches_.back().rows; }
  void add_reject(std::string line) {
    ++stretches_.back().rejected;
    stretches_.back().rejects += line;
  }
  /// The input is read up to `offset`, and a new stretch begins.
  void close(uint64_t offset, uint64_t line);
  void acknowledge(uint64_t stretch, uint32_t rows);
  /// Moves the position behind all that is complete, and takes the lines of its rejects.
  std::string advance();
  const ImportPosition& position() const { return done_; }
  size_t open_stretches() const { return stretches_.size(); }

 private:
  struct Stretch {
    uint64_t waiting = 0, rows = 0, rejected = 0;
    bool closed = false;
    uint64_t offset = 0, line = 0;  // of its end
    std::string rejects;
  };
  ImportPosition done_;
  uint64_t first_ = 0;  // number of the first in stretches_
  std::deque<Stretch> stretches_{1};
};

}  // namespace asterism
