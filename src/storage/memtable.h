// The memtable of the key-value store: RocksDB's interface over MemtableTree.
#pragma once

#include <rocksdb/memtablerep.h>

#include <memory>

namespace asterism {

/// Inserts and finds in fewer cache misses than RocksDB's skip list. Keys must be ordered bytewise. Writes come from
/// one thread at a time (allow_concurrent_memtable_write off); reads may come from others.
std::shared_ptr<rocksdb::MemTableRepFactory> make_memtable_factory();

}  // namespace asterism
