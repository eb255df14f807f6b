// Result metadata and rows of the CQL native protocol (native_protocol_v5.spec section 4.2.5.2): RowsWriter streams
// cells into the output buffer, Rows and RowCursor read them back without copying.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/cql/frame.h"
#include "datastore/cql/wire_type.h"

namespace asterism::cql::wire {

struct ColumnSpec {
  std::string keyspace, table, name;
  WireType type;
  bool operator==(const ColumnSpec&) const = default;
};

/// Where all columns share keyspace and table, these are sent once (Global_tables_spec).
struct ResultMetadata {
  std::vector<ColumnSpec> columns;       // not sent where no_metadata
  uint32_t column_count = 0;             // read only where no_metadata; otherwise columns.size()
  bool no_metadata = false;              // the client asked to skip it and knows the columns
  std::optional<Bytes> paging_state;     // present: there are more pages
  std::optional<Bytes> new_metadata_id;  // v5 Metadata_changed: the columns are not those the client had prepared

  uint32_t width() const { return no_metadata ? column_count : static_cast<uint32_t>(columns.size()); }
  bool operator==(const ResultMetadata&) const = default;
};

/// What may precede any response's body. v3 has no place for warnings and payload: they are left out there.
struct ResponseExtras {
  std::optional<std::array<uint8_t, 16>> tracing_id;
  std::vector<std::string> warnings;  // each is cut at 65,535 bytes
  std::vector<std::pair<std::string, std::optional<Bytes>>> custom_payload;
  bool empty() const { return !tracing_id && warnings.empty() && custom_payload.empty(); }
  bool operator==(const ResponseExtras&) const = default;
};

/// A page of rows. `cells` is row_count * metadata.width() [bytes] values, one after the other.
struct Rows {
  ResultMetadata metadata;
  uint32_t row_count = 0;
  BytesView cells;
  bool operator==(const Rows&) const = default;
};

/// Walks the cells of a Rows whose body outlives it. A null cell is nullopt.
class RowCursor {
 public:
  explicit RowCursor(const Rows& rows);
  /// Fills `row` with the next row's cells; false behind the last one.
  bool next(std::vector<std::optional<BytesView>>& row);

 private:
  ByteReader in_;
  uint32_t width_;
  uint32_t left_;
};

/// Writes a RESULT envelope of rows straight into `out`. Call cell functions row by row, in column order, then finish.
/// Nothing else may write to `out` meanwhile. A writer that is not finished leaves garbage behind start().
class RowsWriter {
 public:
  /// Errors of create: as encode_response; `out` is then as before. metadata.paging_state is ignored: see finish.
  static Result<RowsWriter> create(const ResultMetadata& metadata, Version version, int16_t stream, Bytes& out);

  /// A cell longer than 2^31-1 bytes is a broken invariant.
  void cell(BytesView bytes);
  void null_cell();
  /// A cell whose bytes the caller appends to buffer() in between.
  size_t begin_cell();
  void end_cell(size_t start);

  Bytes& buffer() { return *out_; }
  size_t start() const { return start_; }
  /// Bytes of the envelope so far; use it to end a page early.
  size_t size() const { return out_->size() - start_; }
  /// Complete rows so far.
  uint64_t row_count() const { return width_ == 0 ? 0 : cell_count_ / width_; }

  /// Patches the counts and lengths. With `paging_state` the metadata announces more pages. Extras and paging state are
  /// inserted before the rows, which costs one move of them each. The last row must be complete.
  /// Errors: too_large where the body passes body_size_max; `out` is then cut back to start().
  Status finish(std::optional<BytesView> paging_state = std::nullopt, const ResponseExtras& extras = {},
                uint32_t body_size_max = default_body_size_max);

 private:
  RowsWriter(Bytes& out, Version version) : out_(&out), version_(version), start_(out.size()) {}

  Bytes* out_;
  Version version_;
  size_t start_;
  size_t flags_offset_ = 0;  // of the metadata
  size_t rows_offset_ = 0;
  uint32_t width_ = 0;
  uint64_t cell_count_ = 0;
};

}  // namespace asterism::cql::wire
