// Codecs of result metadata and response extras, shared by RowsWriter and the response codec.
#pragma once

#include <vector>

#include "datastore/cql/notation.h"
#include "datastore/cql/rows.h"

namespace asterism::cql::wire {

// Bits of the flags of metadata.
namespace metadata_flag {
inline constexpr uint32_t global_tables_spec = 0x1;
inline constexpr uint32_t has_more_pages = 0x2;
inline constexpr uint32_t no_metadata = 0x4;
inline constexpr uint32_t metadata_changed = 0x8;
}  // namespace metadata_flag

/// The kinds of RESULT.
enum class ResultKind : int32_t { void_ = 1, rows = 2, set_keyspace = 3, prepared = 4, schema_change = 5 };

/// True if all columns are of one table and there is one at least.
bool share_table(const std::vector<ColumnSpec>& columns);

/// [<global_table_spec>]<col_spec>…
Status write_columns(const std::vector<ColumnSpec>& columns, NotationWriter& out);
Result<std::vector<ColumnSpec>> read_columns(uint32_t flags, size_t count, NotationReader& in);

/// <flags><columns_count>[<paging_state>][<new_metadata_id>][columns]. Metadata without columns is sent as No_metadata.
Status write_metadata(const ResultMetadata& metadata, Version version, NotationWriter& out);
Result<ResultMetadata> read_metadata(NotationReader& in);

/// The envelope flags that announce `extras` in `version`.
uint8_t extras_flags(const ResponseExtras& extras, Version version);
void write_extras(const ResponseExtras& extras, uint8_t flags, NotationWriter& out);
ResponseExtras read_extras(uint8_t flags, NotationReader& in);

/// Reads <metadata><rows_count><rows_content> and checks every cell.
Result<Rows> read_rows(NotationReader& in);

}  // namespace asterism::cql::wire
