#include "datastore/mutation.h"

#include "base/assert.h"
#include "base/hash.h"

namespace asterism::datastore {

Mutation::Mutation(uint32_t table, int64_t token, BytesView partition_key) {
  ASSERT(partition_key.size() <= 65535);
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

void Mutation::add_static(const Row& row) {
  Bytes value;
  encode_row(row, value);
  add(Place::static_row, {}, value);
}

void Mutation::add_row(BytesView clustering, const Row& row) {
  Bytes value;
  encode_row(row, value);
  add(Place::row, clustering, value);
}

Result<MutationView> MutationView::decode(BytesView bytes) {
  ByteReader in(bytes);
  MutationView view;
  view.table = in.u32_le();
  view.token = static_cast<int64_t>(in.u64_le());
  view.partition_key = in.sized();
  Row row;
  while (!in.at_end() && !in.failed()) {
    Change change;
    const uint8_t place = in.u8();
    change.place = static_cast<Place>(place);
    change.clustering = in.sized();
    change.value = in.sized();
    if (in.failed() || place > 2 || (change.place != Place::row && !change.clustering.empty())) {
      in.fail();
      break;
    }
    if (change.place == Place::head) {
      TRY(auto head, decode_head(change.value));
    } else {
      TRY_STATUS(decode_row(change.value, row));
    }
    view.changes.push_back(change);
  }
  if (in.failed() || !in.at_end() || view.changes.empty() || view.partition_key.size() > 65535)
    return fail(ErrorCode::corrupt, "a mutation is malformed");
  return view;
}

Bytes ReadCommand::encode() const {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u32_le(table);
  out.u8(static_cast<uint8_t>((single ? 1 : 0) | (reversed ? 2 : 0)));
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
  if (in.failed() || flags > 3 || command.partition_key.size() > 65535)
    return fail(ErrorCode::corrupt, "a read command is malformed");
  return command;
}

Bytes ReadResult::encode() const {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u8(complete ? 1 : 0);
  out.sized(next);
  out.varint(partitions.size());
  for (const Partition& partition : partitions) {
    out.u64_le(static_cast<uint64_t>(partition.token));
    out.sized(partition.key);
    out.sized(partition.head);
    out.sized(partition.static_row);
    out.varint(partition.rows.size());
    for (const StoredRow& row : partition.rows) {
      out.sized(row.clustering);
      out.sized(row.row);
    }
  }
  return bytes;
}

Result<ReadResult> ReadResult::decode(BytesView bytes) {
  ByteReader in(bytes);
  ReadResult result;
  result.complete = in.u8() != 0;
  result.next = Bytes(in.sized());
  const uint64_t count = in.varint();
  if (count > in.remaining()) in.fail();
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    Partition& partition = result.partitions.emplace_back();
    partition.token = static_cast<int64_t>(in.u64_le());
    partition.key = Bytes(in.sized());
    partition.head = Bytes(in.sized());
    partition.static_row = Bytes(in.sized());
    const uint64_t rows = in.varint();
    if (rows > in.remaining()) in.fail();
    for (uint64_t row = 0; row < rows && !in.failed(); ++row) {
      StoredRow& stored = partition.rows.emplace_back();
      stored.clustering = Bytes(in.sized());
      stored.row = Bytes(in.sized());
    }
  }
  if (in.failed() || !in.at_end()) return fail(ErrorCode::corrupt, "a read result is malformed");
  return result;
}

uint64_t digest_of(BytesView encoded_result) { return xxh3(encoded_result, 0x64696765); }

}  // namespace asterism::datastore
