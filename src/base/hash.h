// Checksums and hashes. Which one for what: xxh3 guards stored and sent records and makes digests of content that only
// our own nodes compare; murmur3_token places partitions as Cassandra's Murmur3Partitioner does.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace asterism {

/// XXH3, 64 bits. As a checksum it finds any damage but a 2^-64 chance; it is no defence against forgery.
uint64_t xxh3(BytesView bytes, uint64_t seed = 0);

/// Mixes `value` into a running hash; used for traces and Merkle nodes.
uint64_t hash_combine(uint64_t hash, uint64_t value);

/// The first half of MurmurHash3 x64/128 with Cassandra's signed-byte tail, and INT64_MIN mapped to INT64_MAX
/// (org.apache.cassandra.dht.Murmur3Partitioner). Golden values in hash_test.cc.
int64_t murmur3_token(BytesView partition_key);

}  // namespace asterism
