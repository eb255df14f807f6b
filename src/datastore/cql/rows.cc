#include "datastore/cql/rows.h"

#include <limits>

#include "base/assert.h"
#include "datastore/cql/metadata.h"

namespace asterism::cql::wire {

namespace {

constexpr size_t cell_size_min = 4;
constexpr size_t column_size_min = 4;  // empty name, type
constexpr int32_t null_length = -1;
/// From the start of the metadata's flags to where the paging state goes.
constexpr size_t paging_state_offset = 8;

}  // namespace

bool share_table(const std::vector<ColumnSpec>& columns) {
  for (const ColumnSpec& column : columns)
    if (column.table != columns[0].table || column.keyspace != columns[0].keyspace) return false;
  return !columns.empty();
}

Status write_columns(const std::vector<ColumnSpec>& columns, NotationWriter& out) {
  bool shared = share_table(columns);
  if (shared) {
    out.string(columns[0].keyspace);
    out.string(columns[0].table);
  }
  for (const ColumnSpec& column : columns) {
    if (!shared) {
      out.string(column.keyspace);
      out.string(column.table);
    }
    out.string(column.name);
    TRY_STATUS(encode_type(column.type, out.raw()));
  }
  if (out.failed()) return fail(ErrorCode::too_large, "a name in result metadata exceeds 65,535 bytes");
  return {};
}

Result<std::vector<ColumnSpec>> read_columns(uint32_t flags, size_t count, NotationReader& in) {
  BytesView keyspace, table;
  bool shared = (flags & metadata_flag::global_tables_spec) != 0;
  if (shared) {
    keyspace = in.string();
    table = in.string();
  }
  if (count * column_size_min > in.remaining()) return fail(ErrorCode::corrupt, "truncated result metadata");
  std::vector<ColumnSpec> columns;
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    if (!shared) {
      keyspace = in.string();
      table = in.string();
    }
    BytesView name = in.string();
    TRY(WireType type, decode_type(in));
    columns.push_back({Bytes(keyspace), Bytes(table), Bytes(name), std::move(type)});
  }
  return columns;
}

Status write_metadata(const ResultMetadata& metadata, Version version, NotationWriter& out) {
  if (metadata.new_metadata_id && version < Version::v5)
    return fail(ErrorCode::unsupported, "a metadata id needs protocol v5");
  bool send_columns = !metadata.no_metadata && !metadata.columns.empty();
  uint32_t flags = (metadata.paging_state ? metadata_flag::has_more_pages : 0) |
                   (send_columns ? 0 : metadata_flag::no_metadata) |
                   (metadata.new_metadata_id ? metadata_flag::metadata_changed : 0) |
                   (send_columns && share_table(metadata.columns) ? metadata_flag::global_tables_spec : 0);
  if (metadata.width() > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()))
    return fail(ErrorCode::too_large, "{} result columns", metadata.width());
  out.int_(static_cast<int32_t>(flags));
  out.int_(static_cast<int32_t>(metadata.width()));
  if (metadata.paging_state) out.long_string(*metadata.paging_state);
  if (metadata.new_metadata_id) out.string(*metadata.new_metadata_id);
  if (send_columns) TRY_STATUS(write_columns(metadata.columns, out));
  if (out.failed()) return fail(ErrorCode::too_large, "a field of result metadata is too long");
  return {};
}

Result<ResultMetadata> read_metadata(NotationReader& in) {
  ResultMetadata metadata;
  uint32_t flags = in.u32_be();
  int32_t count = in.int_();
  if (count < 0) return fail(ErrorCode::corrupt, "{} result columns", count);
  if (flags & metadata_flag::has_more_pages)
    if (auto paging_state = in.bytes()) metadata.paging_state = Bytes(*paging_state);
  if (flags & metadata_flag::metadata_changed) metadata.new_metadata_id = Bytes(in.string());
  if (flags & metadata_flag::no_metadata) {
    metadata.no_metadata = count > 0;
    metadata.column_count = static_cast<uint32_t>(count);
  } else {
    TRY(metadata.columns, read_columns(flags, static_cast<size_t>(count), in));
  }
  if (in.failed()) return fail(ErrorCode::corrupt, "truncated result metadata");
  return metadata;
}

uint8_t extras_flags(const ResponseExtras& extras, Version version) {
  uint8_t flags = extras.tracing_id ? flag::tracing : 0;
  if (version < Version::v4) return flags;
  if (!extras.warnings.empty()) flags |= flag::warning;
  if (!extras.custom_payload.empty()) flags |= flag::custom_payload;
  return flags;
}

void write_extras(const ResponseExtras& extras, uint8_t flags, NotationWriter& out) {
  if (flags & flag::tracing)
    out.raw().raw({reinterpret_cast<const char*>(extras.tracing_id->data()), extras.tracing_id->size()});
  if (flags & flag::warning) {
    out.count(extras.warnings.size());
    for (const std::string& warning : extras.warnings) out.string_cut(warning);
  }
  if (flags & flag::custom_payload) {
    out.count(extras.custom_payload.size());
    for (const auto& [key, value] : extras.custom_payload) {
      out.string(key);
      out.bytes(value);
    }
  }
}

ResponseExtras read_extras(uint8_t flags, NotationReader& in) {
  ResponseExtras extras;
  if (flags & flag::tracing) {
    auto& id = extras.tracing_id.emplace();
    BytesView bytes = in.raw(id.size());
    if (!in.failed()) std::memcpy(id.data(), bytes.data(), id.size());
  }
  if (flags & flag::warning) extras.warnings = in.string_list();
  if (flags & flag::custom_payload) {
    size_t count = in.count(6);
    for (size_t i = 0; i < count && !in.failed(); ++i) {
      BytesView key = in.string();
      auto value = in.bytes();
      extras.custom_payload.emplace_back(key, value ? std::optional<Bytes>(*value) : std::nullopt);
    }
  }
  return extras;
}

Result<Rows> read_rows(NotationReader& in) {
  Rows rows;
  TRY(rows.metadata, read_metadata(in));
  int32_t row_count = in.int_();
  uint64_t width = rows.metadata.width();
  if (in.failed() || row_count < 0 || (width == 0 && row_count > 0))
    return fail(ErrorCode::corrupt, "{} rows of {} columns", row_count, width);
  rows.row_count = static_cast<uint32_t>(row_count);
  // Both factors are below 2^31.
  uint64_t cell_count = width * rows.row_count;
  if (cell_count > in.remaining() / cell_size_min) return fail(ErrorCode::corrupt, "truncated rows");
  BytesView before = in.rest();
  for (uint64_t i = 0; i < cell_count && !in.failed(); ++i) in.bytes();
  if (in.failed()) return fail(ErrorCode::corrupt, "truncated rows");
  rows.cells = before.substr(0, before.size() - in.remaining());
  return rows;
}

// ---- RowCursor

RowCursor::RowCursor(const Rows& rows) : in_(rows.cells), width_(rows.metadata.width()), left_(rows.row_count) {}

bool RowCursor::next(std::vector<std::optional<BytesView>>& row) {
  row.clear();
  if (left_ == 0 || in_.failed()) return false;
  --left_;
  for (uint32_t i = 0; i < width_ && !in_.failed(); ++i) {
    int32_t size = static_cast<int32_t>(in_.u32_be());
    if (size < 0)
      row.emplace_back(std::nullopt);
    else
      row.emplace_back(in_.raw(static_cast<uint64_t>(size)));
  }
  return !in_.failed();
}

// ---- RowsWriter

constexpr size_t usual_answer_bytes = 256;  // so that a small row does not grow its buffer three times

Result<RowsWriter> RowsWriter::create(const ResultMetadata& metadata, Version version, int16_t stream, Bytes& out) {
  RowsWriter writer(out, version);
  out.reserve(out.size() + usual_answer_bytes);
  begin_envelope({version, Direction::response, 0, stream, Opcode::result}, out);
  NotationWriter notation(out);
  notation.int_(static_cast<int32_t>(ResultKind::rows));
  writer.flags_offset_ = out.size();
  writer.width_ = metadata.width();
  Status written;
  if (metadata.paging_state) {
    ResultMetadata unpaged = metadata;
    unpaged.paging_state.reset();
    written = write_metadata(unpaged, version, notation);
  } else {
    written = write_metadata(metadata, version, notation);
  }
  if (!written) {
    out.resize(writer.start_);
    return fail(written.error());
  }
  notation.int_(0);
  writer.rows_offset_ = out.size();
  return writer;
}

void RowsWriter::cell(BytesView bytes) {
  ASSERT(bytes.size() <= static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  ByteWriter writer(*out_);
  writer.u32_be(static_cast<uint32_t>(bytes.size()));
  writer.raw(bytes);
  ++cell_count_;
}

void RowsWriter::null_cell() {
  ByteWriter(*out_).u32_be(static_cast<uint32_t>(null_length));
  ++cell_count_;
}

size_t RowsWriter::begin_cell() {
  size_t start = out_->size();
  ByteWriter(*out_).u32_be(0);
  ++cell_count_;
  return start;
}

void RowsWriter::end_cell(size_t start) {
  ASSERT(out_->size() >= start + cell_size_min);
  size_t size = out_->size() - start - cell_size_min;
  ASSERT(size <= static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  store_big_endian(static_cast<uint32_t>(size), out_->data() + start);
}

Status RowsWriter::finish(std::optional<BytesView> paging_state, const ResponseExtras& extras, uint32_t body_size_max) {
  ASSERT(width_ == 0 ? cell_count_ == 0 : cell_count_ % width_ == 0);
  store_big_endian(static_cast<uint32_t>(row_count()), out_->data() + rows_offset_ - sizeof(int32_t));
  Bytes inserted;
  NotationWriter writer(inserted);
  if (paging_state) {
    writer.long_string(*paging_state);
    uint32_t flags = load_big_endian<uint32_t>(out_->data() + flags_offset_) | metadata_flag::has_more_pages;
    store_big_endian(flags, out_->data() + flags_offset_);
    out_->insert(flags_offset_ + paging_state_offset, inserted);
  }
  if (!extras.empty()) {
    inserted.clear();
    uint8_t flags = extras_flags(extras, version_);
    write_extras(extras, flags, writer);
    (*out_)[start_ + 1] = static_cast<char>(flags);
    out_->insert(start_ + envelope_header_size, inserted);
  }
  if (writer.failed() || size() - envelope_header_size > body_size_max) {
    size_t body_size = size() - envelope_header_size;
    out_->resize(start_);
    return fail(ErrorCode::too_large, "a result of {} bytes is above the limit of {}", body_size, body_size_max);
  }
  end_envelope(start_, *out_);
  return {};
}

}  // namespace asterism::cql::wire
