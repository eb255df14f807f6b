#include "node/simulation/journal.h"

#include <fmt/format.h>

#include <algorithm>

namespace asterism::simulation {

void JournalChecker::applied(const std::string& node, uint64_t place, uint64_t index, uint64_t entry, uint64_t facts) {
  if (place > known_.size() + 1) {
    verdict_.fail(fmt::format("{} applied metadata entry {} before anybody applied entry {}", node, place, place - 1));
    return;
  }
  if (place == known_.size() + 1) {
    if (std::ranges::find(known_, entry, &Known::entry) != known_.end())
      verdict_.fail(fmt::format("the metadata log holds the proposal {} twice", entry));
    if (std::ranges::find(refused_, entry) != refused_.end())
      verdict_.fail(fmt::format("the metadata log holds the proposal {}, which was refused as not done", entry));
    known_.push_back({index, entry, facts, node});
    return;
  }
  const Known& known = known_[place - 1];
  if (known.entry != entry || known.index != index)
    verdict_.fail(fmt::format("{} applied proposal {} at index {} where {} applied {} at index {}", node, entry, index,
                              known.node, known.entry, known.index));
  else if (known.facts != facts)
    verdict_.fail(fmt::format("{} and {} hold different metadata at index {}", node, known.node, index));
}

void JournalChecker::acknowledged(uint64_t floor, uint64_t entry, uint64_t place) {
  if (place == 0 || place > known_.size() || known_[place - 1].entry != entry)
    verdict_.fail(fmt::format("proposal {} was acknowledged at place {} and is not there", entry, place));
  else if (place <= floor)
    verdict_.fail(
        fmt::format("proposal {} was placed at {}, before one acknowledged earlier at {}", entry, place, floor));
  floor_ = std::max(floor_, place);
}

void JournalChecker::refused(uint64_t entry) {
  refused_.push_back(entry);
  if (std::ranges::find(known_, entry, &Known::entry) != known_.end())
    verdict_.fail(fmt::format("proposal {} was refused as not done and was applied", entry));
}

void JournalChecker::read(const std::string& node, uint64_t floor, uint64_t count) {
  if (count < floor)
    verdict_.fail(
        fmt::format("behind a barrier {} shows {} metadata entries; {} were acknowledged before", node, count, floor));
  floor_ = std::max(floor_, count);
}

Bytes Journal::encode(uint64_t number) {
  Bytes bytes;
  ByteWriter(bytes).u64_le(number);
  return bytes;
}

uint64_t Journal::decode(BytesView bytes) { return ByteReader(bytes).u64_le(); }

Result<Bytes> Journal::apply(uint64_t index, BytesView command) {
  ++count_;
  checker_.applied(node_, count_, index, decode(command), facts_());
  return encode(count_);
}

Bytes Journal::snapshot() const { return encode(count_); }

Status Journal::restore(BytesView snapshot) {
  count_ = decode(snapshot);
  return {};
}

}  // namespace asterism::simulation
