#include "datastore/table_service.h"

namespace asterism::datastore {

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
