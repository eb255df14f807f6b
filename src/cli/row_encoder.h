// Rows of a file as bound values of an INSERT, straight in the bytes of a request.
#pragma once

#include <boost/json/monotonic_resource.hpp>
#include <memory>

#include "cli/csv.h"
#include "cli/table_info.h"

namespace asterism {

/// What is wrong with a row.
struct RowError {
  std::string column;  // empty: the row as a whole
  size_t field = 0;    // of the column, from 0
  std::string reason;
};

class RowEncoder {
 public:
  /// Errors: invalid_argument where a column of the primary key is missing.
  static Result<RowEncoder> create(const TableInfo& table, std::vector<TableColumn> columns, std::string null_text);

  /// INSERT with a marker for each column.
  const std::string& statement() const { return statement_; }
  size_t column_count() const { return columns_.size(); }

  /// Makes values() and token() of the row. An unquoted field that is the null text leaves its column as it is.
  bool encode_csv(const std::vector<CsvField>& fields);
  /// One JSON object; members that are missing or null leave their columns as they are.
  bool encode_json(BytesView line);

  /// [short n]<value_1>…<value_n> of the protocol.
  const Bytes& values() const { return values_; }
  int64_t token() const;
  /// Why the latest row is none.
  const RowError& error() const { return error_; }

 private:
  RowEncoder() = default;
  struct Column {
    TableColumn column;
    bool key = false;
    size_t begin = 0, size = 0;  // of the latest row's value, in values_
  };
  bool put_null(size_t at);
  bool put_text(size_t at, BytesView text);
  bool put(size_t at, BytesView bytes);
  bool wrong(size_t at, std::string reason);
  bool check_key();

  std::vector<Column> columns_;
  std::vector<size_t> partition_;  // indexes of the partition key's columns, in its order
  std::string statement_, null_text_;
  Bytes values_;
  RowError error_;
  std::unique_ptr<unsigned char[]> json_room_;
};

}  // namespace asterism
