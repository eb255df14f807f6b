#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <limits>

namespace asterism {

uint64_t xxh3(BytesView bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

uint64_t hash_combine(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  hash ^= hash >> 32;
  return hash * 0xd6e8feb86659fd93ULL;
}

static uint64_t final_mix(uint64_t k) {
  k ^= k >> 33;
  k *= 0xff51afd7ed558ccdULL;
  k ^= k >> 33;
  k *= 0xc4ceb9fe1a85ec53ULL;
  return k ^ (k >> 33);
}

int64_t murmur3_token(BytesView key) {
  constexpr uint64_t c1 = 0x87c37b91114253d5ULL, c2 = 0x4cf5ad432745937fULL;
  uint64_t h1 = 0, h2 = 0;
  const size_t blocks = key.size() / 16;
  for (size_t i = 0; i < blocks; ++i) {
    uint64_t k1 = load_little_endian<uint64_t>(key.data() + i * 16);
    uint64_t k2 = load_little_endian<uint64_t>(key.data() + i * 16 + 8);
    h1 ^= std::rotl(k1 * c1, 31) * c2;
    h1 = (std::rotl(h1, 27) + h2) * 5 + 0x52dce729;
    h2 ^= std::rotl(k2 * c2, 33) * c1;
    h2 = (std::rotl(h2, 31) + h1) * 5 + 0x38495ab5;
  }
  // Cassandra sign-extends the bytes of the tail, unlike the reference implementation.
  auto tail = [&](size_t i) {
    return static_cast<uint64_t>(static_cast<int64_t>(static_cast<signed char>(key[blocks * 16 + i])));
  };
  uint64_t k1 = 0, k2 = 0;
  const size_t left = key.size() % 16;
  for (size_t i = left; i > 8; --i) k2 ^= tail(i - 1) << ((i - 9) * 8);
  if (left > 8) h2 ^= std::rotl(k2 * c2, 33) * c1;
  for (size_t i = left < 8 ? left : 8; i > 0; --i) k1 ^= tail(i - 1) << ((i - 1) * 8);
  if (left > 0) h1 ^= std::rotl(k1 * c1, 31) * c2;

  h1 ^= key.size();
  h2 ^= key.size();
  h1 += h2;
  h2 += h1;
  h1 = final_mix(h1);
  h2 = final_mix(h2);
  h1 += h2;
  const auto token = static_cast<int64_t>(h1);
  return token == std::numeric_limits<int64_t>::min() ? std::numeric_limits<int64_t>::max() : token;
}

}  // namespace asterism
