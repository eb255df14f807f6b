// Makes the answers of several replicas one, and finds what each of them lacks.
#pragma once

#include "datastore/read_result.h"

namespace asterism::datastore {

struct MergedResults {
  ReadResult merged;
  /// For each answer, in order: encoded mutations that bring that replica up to date.
  std::vector<std::vector<Bytes>> repairs;
};

/// `answers` come from the same command. Covers only what all of them cover. Errors: corrupt.
Result<MergedResults> merge_results(const ReadCommand& command, std::vector<ReadResult> answers);

}  // namespace asterism::datastore
