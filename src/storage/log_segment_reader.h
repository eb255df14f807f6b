// Reads segment files of segmented logs batch by batch.
#pragma once

#include <functional>
#include <optional>

#include "runtime/io.h"
#include "storage/log_segment.h"

namespace asterism {

/// Which part of a file to walk over: from a place where a batch begins, up to where the file is known to reach.
struct BatchSpan {
  uint64_t seed = 0;
  uint64_t offset = 0;  // of the batch that begins there
  uint32_t position = 0;
  uint64_t end_position = 0;
  bool with_payloads = false;  // checks and shows them; else only headers are read
};

/// Gets each batch, marks included. False ends the walk before it.
using BatchVisitor = std::move_only_function<bool(const BatchHeader&, BytesView payload)>;

/// Where the walk ended: at the end of the span, where the visitor said so, or where no whole batch follows.
struct WalkEnd {
  uint32_t position = 0;
  bool damaged = false;  // it ended because no whole batch follows before the end of the span
};

/// Holds at most one batch or 256 KiB. Errors: io.
Task<Result<WalkEnd>> walk_batches(File& file, BatchSpan span, BatchVisitor visit);

/// Looks behind `position`, where no whole batch begins, for a header that says that this place was durable when it was
/// written. Returns where that is: then there was once a whole batch.
Task<Result<std::optional<uint32_t>>> find_proof_of_batch(File& file, uint64_t seed, uint32_t position);

}  // namespace asterism
