// The memtable of the key-value store: RocksDB's interface over MemtableTree.
#pragma once

#include <rocksdb/memtablerep.h>

#include <cstdint>
#include <memory>

#include "storage/key_value_store.h"

namespace asterism {

/// What the memtables of a store need no more, since newer versions took its place. For the thread that writes.
struct MemtableReuse {
  uint64_t entries = 0, bytes = 0;
};

/// Inserts and finds in fewer cache misses than RocksDB's skip list. Keys must be ordered bytewise. Writes come from
/// one thread at a time (allow_concurrent_memtable_write off), which is also the one that makes iterators and gets
/// keys; other threads read only what is not written any more. There are no snapshots.
///
/// While no iterator is open, a version goes for which the next newer one of its key makes no difference any more, and
/// later entries get its memory: rows that are written over and over do not fill the memtable. What is put or removed
/// replaces everything, an operand what it `supersedes` (may be empty). So fewer entries are flushed than RocksDB
/// counted (flush_verify_memtable_count off). `reuse` must outlive the database.
std::shared_ptr<rocksdb::MemTableRepFactory> make_memtable_factory(MemtableReuse& reuse, SupersedesFunction supersedes);

}  // namespace asterism
