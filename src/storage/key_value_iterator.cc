#include "storage/rocksdb_adapters.h"

namespace asterism {

/// RocksDB keeps pointers to the bounds, so they live beside its iterator and do not move.
struct KeyValueStore::Iterator::State {
  std::shared_ptr<Engine> engine;
  Bytes lower, upper;
  rocksdb::Slice lower_slice, upper_slice;
  std::unique_ptr<rocksdb::Iterator> iterator;
};

KeyValueStore::Iterator::Iterator(std::unique_ptr<State> state) : state_(std::move(state)) {}
KeyValueStore::Iterator::Iterator(Iterator&&) noexcept = default;
KeyValueStore::Iterator& KeyValueStore::Iterator::operator=(Iterator&&) noexcept = default;
KeyValueStore::Iterator::~Iterator() = default;

KeyValueStore::Iterator KeyValueStore::iterate(Bounds bounds) const {
  auto state = std::make_unique<Iterator::State>();
  state->engine = engine_;
  state->lower = std::move(bounds.lower);
  state->upper = std::move(bounds.upper);
  if (state->upper.empty() || state->upper > reserved_keys) state->upper = reserved_keys;
  state->lower_slice = slice(state->lower);
  state->upper_slice = slice(state->upper);
  rocksdb::ReadOptions read;
  read.iterate_lower_bound = &state->lower_slice;
  read.iterate_upper_bound = &state->upper_slice;
  read.fill_cache = bounds.fill_cache;
  state->iterator.reset(engine_->database->NewIterator(read));
  return Iterator(std::move(state));
}

void KeyValueStore::Iterator::seek_first() { state_->iterator->SeekToFirst(); }
void KeyValueStore::Iterator::seek_last() { state_->iterator->SeekToLast(); }
void KeyValueStore::Iterator::seek(BytesView key) { state_->iterator->Seek(slice(key)); }
void KeyValueStore::Iterator::seek_for_previous(BytesView key) {
  // RocksDB leaves keys at or behind the upper bound to its caller.
  if (key >= state_->upper)
    state_->iterator->SeekToLast();
  else
    state_->iterator->SeekForPrev(slice(key));
}
void KeyValueStore::Iterator::next() {
  ASSERT(valid());
  state_->iterator->Next();
}
void KeyValueStore::Iterator::previous() {
  ASSERT(valid());
  state_->iterator->Prev();
}
bool KeyValueStore::Iterator::valid() const { return state_->iterator->Valid(); }
BytesView KeyValueStore::Iterator::key() const { return view(state_->iterator->key()); }
BytesView KeyValueStore::Iterator::value() const { return view(state_->iterator->value()); }
Status KeyValueStore::Iterator::status() const { return state_->engine->read_status(state_->iterator->status()); }

}  // namespace asterism
