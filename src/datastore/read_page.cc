#include "datastore/read_page.h"

namespace asterism::datastore {

Status LivePartition::read(const StoredRow& stored, Row& row) const {
  TRY_STATUS(decode_row(stored.row, row));
  row.hide(head.deletion_of(stored.clustering));
  return {};
}

Result<ReadPage> live_page(Bytes encoded_result, int64_t now_s) {
  ReadPage page;
  page.storage = std::make_unique<const Bytes>(std::move(encoded_result));
  ReadResultReader in(*page.storage);
  ReadResultReader::Partition partition;
  while (in.next(partition)) {
    LivePartition live;
    live.token = partition.token;
    live.key = partition.key;
    if (!partition.head.empty()) {
      TRY(live.head, decode_head(partition.head));
    }
    if (!partition.static_row.empty()) {
      TRY_STATUS(decode_row(partition.static_row, live.static_row));
      live.static_row.hide(live.head.deletion);
    }
    ReadResultReader::Row row;
    while (in.next(row)) {
      TRY(const bool is_live, row_is_live(row.row, live.head.deletion_of(row.clustering), now_s));
      if (is_live) live.rows.push_back({row.clustering, row.row});
    }
    if (!live.rows.empty() || live.static_row.is_live(now_s)) page.partitions.push_back(std::move(live));
  }
  TRY_STATUS(in.finish(page.complete, page.next));
  return page;
}

void limit_page(const ReadCommand& command, ReadPage& page) {
  uint64_t rows = 0;
  for (size_t i = 0; i < page.partitions.size(); ++i) {
    LivePartition& partition = page.partitions[i];
    const bool full = rows >= command.row_limit;
    const uint64_t room = full ? 0 : command.row_limit - rows;
    rows += std::max<uint64_t>(partition.rows.size(), 1);
    if (!full && partition.rows.size() <= room) continue;
    page.complete = false;
    const Bytes prefix = partition_prefix(command.table, partition.token, partition.key);
    if (full) {
      page.next = prefix;
      page.partitions.resize(i);
      return;
    }
    const BytesView first_left_out = partition.rows[room].clustering;
    if (command.single) {
      page.next = Bytes(first_left_out);
      if (command.reversed) page.next.push_back('\0');
    } else {
      page.next = prefix;
      page.next.push_back(static_cast<char>(Place::row));
      page.next += first_left_out;
    }
    partition.rows.resize(room);
    page.partitions.resize(i + 1);
    return;
  }
}

ReadCommand resume(ReadCommand command, const Bytes& next) {
  if (!command.single) {
    command.from = next;
    return command;
  }
  // Reading order is ascending from `next`, or descending below it.
  std::vector<Slice> left;
  for (Slice& slice : command.slices) {
    if (command.reversed) {
      if (slice.from >= next) continue;
      if (slice.to.empty() || slice.to > next) slice.to = next;
    } else {
      if (!slice.to.empty() && slice.to <= next) continue;
      if (slice.from < next) slice.from = next;
    }
    left.push_back(std::move(slice));
  }
  command.slices = std::move(left);
  return command;
}

}  // namespace asterism::datastore
