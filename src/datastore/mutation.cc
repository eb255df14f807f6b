#include "datastore/mutation.h"

#include "base/assert.h"
#include "base/hash.h"

namespace asterism::datastore {

constexpr size_t usual_row_bytes = 160;  // so that a small row does not grow its buffer

Mutation::Mutation(uint32_t table, int64_t token, BytesView partition_key) {
  ASSERT(partition_key.size() <= 65535);
  bytes_.reserve(partition_key.size() + usual_row_bytes);
  ByteWriter out(bytes_);
  out.u32_le(table);
  out.u64_le(static_cast<uint64_t>(token));
  out.sized(partition_key);
}

void Mutation::add(Place place, BytesView clustering, BytesView value) {
  ByteWriter out(bytes_);
  out.u8(static_cast<uint8_t>(place));
  out.sized(clustering);
  out.sized(value);
  ++count_;
}

void Mutation::add_head(const PartitionHead& head) {
  Bytes value;
  encode_head(head, value);
  add(Place::head, {}, value);
}

/// As merging leaves it: a row that is the only version of itself is stored and read as it came.
static Bytes canonical(const Row& row) {
  Bytes value;
  value.reserve(usual_row_bytes);
  if (row.deletion.none() && row.collections.empty())
    encode_row(row, value);
  else
    encode_row(merge_rows(Row(), row), value);
  return value;
}

void Mutation::add_static(const Row& row) { add(Place::static_row, {}, canonical(row)); }

void Mutation::add_row(BytesView clustering, const Row& row) { add(Place::row, clustering, canonical(row)); }

Result<MutationView> MutationView::split(BytesView bytes) {
  ByteReader in(bytes);
  MutationView view;
  view.table = in.u32_le();
  view.token = static_cast<int64_t>(in.u64_le());
  view.partition_key = in.sized();
  while (!in.at_end() && !in.failed()) {
    Change change;
    const uint8_t place = in.u8();
    change.place = static_cast<Place>(place);
    change.clustering = in.sized();
    change.value = in.sized();
    if (place > 2 || (change.place != Place::row && !change.clustering.empty())) in.fail();
    view.changes.push_back(change);
  }
  if (in.failed() || !in.at_end() || view.changes.empty() || view.partition_key.size() > 65535)
    return fail(ErrorCode::corrupt, "a mutation is malformed");
  return view;
}

Result<MutationView> MutationView::decode(BytesView bytes) {
  TRY(MutationView view, split(bytes));
  Row row;
  for (const Change& change : view.changes) {
    if (change.place == Place::head) {
      TRY(auto head, decode_head(change.value));
    } else {
      TRY_STATUS(decode_row(change.value, row));
    }
  }
  return view;
}

Bytes ReadCommand::encode() const {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u32_le(table);
  out.u8(static_cast<uint8_t>((single ? 1 : 0) | (reversed ? 2 : 0) | (whole_keys ? 4 : 0)));
  out.u32_le(row_limit);
  out.u32_le(per_partition_limit);
  out.u64_le(static_cast<uint64_t>(now_s));
  if (single) {
    out.u64_le(static_cast<uint64_t>(token));
    out.sized(partition_key);
    out.varint(slices.size());
    for (const Slice& slice : slices) {
      out.sized(slice.from);
      out.sized(slice.to);
    }
  } else {
    out.sized(from);
    out.sized(to);
  }
  return bytes;
}

Result<ReadCommand> ReadCommand::decode(ByteReader& in) {
  ReadCommand command;
  command.table = in.u32_le();
  const uint8_t flags = in.u8();
  command.single = (flags & 1) != 0;
  command.reversed = (flags & 2) != 0;
  command.whole_keys = (flags & 4) != 0;
  command.row_limit = in.u32_le();
  command.per_partition_limit = in.u32_le();
  command.now_s = static_cast<int64_t>(in.u64_le());
  if (command.single) {
    command.token = static_cast<int64_t>(in.u64_le());
    command.partition_key = Bytes(in.sized());
    const uint64_t count = in.varint();
    if (count > in.remaining()) in.fail();
    for (uint64_t i = 0; i < count && !in.failed(); ++i) {
      Slice slice;
      slice.from = Bytes(in.sized());
      slice.to = Bytes(in.sized());
      command.slices.push_back(std::move(slice));
    }
  } else {
    command.from = Bytes(in.sized());
    command.to = Bytes(in.sized());
  }
  if (in.failed() || flags > 7 || command.partition_key.size() > 65535)
    return fail(ErrorCode::corrupt, "a read command is malformed");
  return command;
}

}  // namespace asterism::datastore
