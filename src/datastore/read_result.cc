#include "datastore/read_result.h"

#include "base/assert.h"
#include "base/hash.h"

namespace asterism::datastore {

constexpr size_t usual_row_bytes = 320;  // one allocation for a small row instead of three

void ReadResultWriter::begin_partition(int64_t token, BytesView key, BytesView head, BytesView static_row) {
  begun_at_ = bytes_.size();
  if (begun_at_ == 0) bytes_.reserve(usual_row_bytes + key.size() + head.size() + static_row.size());
  ByteWriter out(bytes_);
  out.u8(1);
  out.u64_le(static_cast<uint64_t>(token));
  out.sized(key);
  out.sized(head);
  out.sized(static_row);
}

void ReadResultWriter::add_row(BytesView clustering, BytesView row) {
  ASSERT(!row.empty());
  ByteWriter out(bytes_);
  out.sized(row);
  out.sized(clustering);
}

void ReadResultWriter::end_partition() { ByteWriter(bytes_).sized({}); }
void ReadResultWriter::drop_partition() { bytes_.resize(begun_at_); }

Bytes ReadResultWriter::finish(bool complete, BytesView next) && {
  ByteWriter out(bytes_);
  out.u8(0);
  out.u8(complete ? 1 : 0);
  out.sized(next);
  return std::move(bytes_);
}

bool ReadResultReader::next(Partition& partition) {
  const uint8_t more = in_.u8();
  if (more > 1) in_.fail();
  if (in_.failed() || more == 0) return false;
  partition.token = static_cast<int64_t>(in_.u64_le());
  partition.key = in_.sized();
  partition.head = in_.sized();
  partition.static_row = in_.sized();
  return !in_.failed();
}

bool ReadResultReader::next(Row& row) {
  row.row = in_.sized();
  if (row.row.empty()) return false;
  row.clustering = in_.sized();
  return !in_.failed();
}

Status ReadResultReader::finish(bool& complete, Bytes& next) {
  complete = in_.u8() != 0;
  next = Bytes(in_.sized());
  if (in_.failed() || !in_.at_end()) return fail(ErrorCode::corrupt, "a read result is malformed");
  return {};
}

Bytes ReadResult::encode() const {
  ReadResultWriter out;
  for (const Partition& partition : partitions) {
    out.begin_partition(partition.token, partition.key, partition.head, partition.static_row);
    for (const StoredRow& row : partition.rows) out.add_row(row.clustering, row.row);
    out.end_partition();
  }
  return std::move(out).finish(complete, next);
}

Result<ReadResult> ReadResult::decode(BytesView bytes) {
  ReadResultReader in(bytes);
  ReadResult result;
  ReadResultReader::Partition partition;
  while (in.next(partition)) {
    auto& added = result.partitions.emplace_back(partition.token, Bytes(partition.key), Bytes(partition.head),
                                                 Bytes(partition.static_row));
    ReadResultReader::Row row;
    while (in.next(row)) added.rows.emplace_back(Bytes(row.clustering), Bytes(row.row));
  }
  TRY_STATUS(in.finish(result.complete, result.next));
  return result;
}

uint64_t digest_of(BytesView encoded_result) { return xxh3(encoded_result, 0x64696765); }

}  // namespace asterism::datastore
