// A section of the metadata log that only remembers, and the checks that make the log one sequence for everybody.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cluster/metadata_log.h"

namespace asterism::simulation {

/// The first broken promise of a run.
class Verdict {
 public:
  /// Only the first counts.
  void fail(std::string what) {
    if (what_.empty()) what_ = std::move(what);
  }
  bool failed() const { return !what_.empty(); }
  const std::string& what() const { return what_; }

 private:
  std::string what_;
};

/// What all nodes together have applied. Entries are numbers, each proposed once.
class JournalChecker {
 public:
  explicit JournalChecker(Verdict& verdict) : verdict_(verdict) {}

  /// A node applied `entry` as the `place`-th (from 1) at `index`; `facts` is a hash of the rest of the metadata then.
  void applied(const std::string& node, uint64_t place, uint64_t index, uint64_t entry, uint64_t facts);

  /// Everything acknowledged before now lies at or before this place.
  uint64_t floor() const { return floor_; }
  /// A proposal that began at `floor` was acknowledged with its place.
  void acknowledged(uint64_t floor, uint64_t entry, uint64_t place);
  void refused(uint64_t entry);
  /// A read behind a barrier that began at `floor` saw so many entries.
  void read(const std::string& node, uint64_t floor, uint64_t count);

 private:
  struct Known {
    uint64_t index = 0, entry = 0, facts = 0;
    std::string node;
  };
  Verdict& verdict_;
  std::vector<Known> known_;
  std::vector<uint64_t> refused_;
  uint64_t floor_ = 0;
};

/// Section "journal" of one node.
class Journal final : public MetadataSection {
 public:
  static constexpr const char* section_name = "journal";
  Journal(std::string node, JournalChecker& checker, std::function<uint64_t()> facts)
      : node_(std::move(node)), checker_(checker), facts_(std::move(facts)) {}

  /// A command is an entry (u64, little-endian); the outcome is its place in the same form.
  Result<Bytes> apply(uint64_t index, BytesView command) override;
  Bytes snapshot() const override;
  Status restore(BytesView snapshot) override;
  uint64_t count() const { return count_; }

  static Bytes encode(uint64_t number);
  static uint64_t decode(BytesView bytes);

 private:
  std::string node_;
  JournalChecker& checker_;
  std::function<uint64_t()> facts_;
  uint64_t count_ = 0;
};

}  // namespace asterism::simulation
