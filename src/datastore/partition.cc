#include "datastore/partition.h"

#include <algorithm>
#include <set>

#include "base/assert.h"

namespace asterism::datastore {

constexpr uint64_t sign_bit = uint64_t{1} << 63;

Bytes token_key(uint32_t table, int64_t token) {
  Bytes key;
  ByteWriter out(key);
  out.u32_be(table);
  out.u64_be(static_cast<uint64_t>(token) ^ sign_bit);
  return key;
}

Bytes partition_prefix(uint32_t table, int64_t token, BytesView partition_key) {
  ASSERT(partition_key.size() <= 65535);
  Bytes key;
  key.reserve(14 + partition_key.size() + 32);
  ByteWriter out(key);
  out.u32_be(table);
  out.u64_be(static_cast<uint64_t>(token) ^ sign_bit);
  out.u16_be(static_cast<uint16_t>(partition_key.size()));
  out.raw(partition_key);
  return key;
}

Result<KeyParts> split_key(BytesView key) {
  ByteReader in(key);
  KeyParts parts;
  parts.table = in.u32_be();
  parts.token = static_cast<int64_t>(in.u64_be() ^ sign_bit);
  parts.partition_key = in.raw(in.u16_be());
  parts.prefix = key.substr(0, key.size() - in.remaining());
  const uint8_t place = in.u8();
  if (in.failed() || place > 2) return fail(ErrorCode::corrupt, "a stored key is malformed");
  parts.place = static_cast<Place>(place);
  parts.clustering = in.rest();
  return parts;
}

Bytes after_prefix(BytesView prefix) {
  Bytes next(prefix);
  while (!next.empty()) {
    if (static_cast<uint8_t>(next.back()) != 0xff) {
      ++next.back();
      return next;
    }
    next.pop_back();
  }
  return next;
}

DeletionTime PartitionHead::deletion_of(std::optional<BytesView> clustering) const {
  if (!clustering) return deletion;
  auto after =
      std::ranges::upper_bound(ranges, *clustering, {}, [](const auto& range) { return BytesView(range.from); });
  if (after == ranges.begin()) return deletion;
  const RangeDeletion& range = *std::prev(after);
  if (!range.to.empty() && *clustering >= range.to) return deletion;
  return std::max(deletion, range.deletion);
}

void PartitionHead::add(std::vector<RangeDeletion> more) {
  if (more.empty()) return;
  more.insert(more.end(), std::make_move_iterator(ranges.begin()), std::make_move_iterator(ranges.end()));
  ranges.clear();
  // Sweep over the bounds: between two neighbouring bounds the strongest deletion that covers them holds.
  struct Bound {
    const Bytes* at;  // null: the end of everything
    bool starts;
    const DeletionTime* deletion;
  };
  std::vector<Bound> bounds;
  for (const auto& range : more) {
    if (!range.to.empty() && range.from >= range.to) continue;
    bounds.push_back({&range.from, true, &range.deletion});
    bounds.push_back({range.to.empty() ? nullptr : &range.to, false, &range.deletion});
  }
  std::ranges::sort(bounds, [](const Bound& a, const Bound& b) {
    if (a.at == nullptr || b.at == nullptr) return a.at != nullptr && b.at == nullptr;
    return *a.at < *b.at;
  });
  std::multiset<DeletionTime> active;
  for (size_t i = 0; i < bounds.size();) {
    const Bytes* at = bounds[i].at;
    for (; i < bounds.size() && (bounds[i].at == at || (at && bounds[i].at && *bounds[i].at == *at)); ++i) {
      if (bounds[i].starts) {
        active.insert(*bounds[i].deletion);
      } else {
        active.erase(active.find(*bounds[i].deletion));
      }
    }
    if (at == nullptr) break;
    const bool continues = !ranges.empty() && ranges.back().to.empty();
    if (continues && !active.empty() && ranges.back().deletion == *active.rbegin()) continue;
    if (continues) ranges.back().to = *at;
    if (!active.empty()) ranges.push_back({*at, {}, *active.rbegin()});
  }
}

void encode_head(const PartitionHead& head, Bytes& bytes) {
  ByteWriter out(bytes);
  auto put = [&](const DeletionTime& deletion) {
    out.u64_le(static_cast<uint64_t>(deletion.timestamp_us));
    out.u64_le(static_cast<uint64_t>(deletion.local_s));
  };
  put(head.deletion);
  out.varint(head.ranges.size());
  for (const auto& range : head.ranges) {
    out.sized(range.from);
    out.sized(range.to);
    put(range.deletion);
  }
}

Result<PartitionHead> decode_head(BytesView bytes) {
  ByteReader in(bytes);
  auto get = [&] {
    DeletionTime deletion;
    deletion.timestamp_us = static_cast<int64_t>(in.u64_le());
    deletion.local_s = static_cast<int64_t>(in.u64_le());
    return deletion;
  };
  PartitionHead head;
  head.deletion = get();
  const uint64_t count = in.varint();
  if (count > in.remaining()) in.fail();
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    RangeDeletion range;
    range.from = Bytes(in.sized());
    range.to = Bytes(in.sized());
    range.deletion = get();
    head.ranges.push_back(std::move(range));
  }
  if (in.failed() || !in.at_end()) return fail(ErrorCode::corrupt, "a stored partition head is malformed");
  return head;
}

PartitionHead merge_heads(const PartitionHead& a, const PartitionHead& b) {
  PartitionHead merged = a;
  merged.deletion = std::max(a.deletion, b.deletion);
  merged.add(b.ranges);
  return merged;
}

bool version_supersedes(BytesView key, BytesView older, BytesView newer) {
  const auto parts = split_key(key);
  return parts && parts->place != Place::head && row_supersedes(older, newer);
}

Status merge_versions(BytesView key, const std::vector<BytesView>& versions, Bytes& out) {
  TRY(const KeyParts parts, split_key(key));
  if (parts.place == Place::head) {
    PartitionHead merged;
    for (BytesView version : versions) {
      TRY(const PartitionHead head, decode_head(version));
      merged = merge_heads(merged, head);
    }
    encode_head(merged, out);
    return {};
  }
  Row merged, next;
  for (BytesView version : versions) {
    TRY_STATUS(decode_row(version, next));
    merged = merge_rows(merged, next);
  }
  encode_row(merged, out);
  return {};
}

}  // namespace asterism::datastore
