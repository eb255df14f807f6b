// One import: reads, encodes and sends rows, keeps what a later run needs, and shows how far it is.
#pragma once

#include <atomic>
#include <memory>

#include "cli/batch_sender.h"
#include "cli/import_progress.h"
#include "cli/progress_bar.h"
#include "cli/row_encoder.h"
#include "runtime/channel.h"
#include "runtime/real/system_file.h"

namespace asterism {

struct ImportOptions {
  CqlAccessOptions access;
  std::string table, file;  // file "-": standard input
  bool jsonl = false;
  bool header = false;  // the first record names the columns
  std::string columns;  // "a,b"; instead of the header's
  char delimiter = ',';
  std::string null_text;
  bool resume = false;
  uint64_t errors_max = 0;
  std::string rejects;  // empty: FILE.rejects
  uint32_t concurrency = 64;
  uint64_t rows_per_s = 0;  // 0: as many as the cluster takes
  cql::wire::Consistency consistency = cql::wire::Consistency::local_quorum;
  bool json = false;

  bool from_stdin() const { return file == "-"; }
  std::string progress_path() const { return file + ".asterism-import"; }
  std::string rejects_path() const { return rejects.empty() ? file + ".rejects" : rejects; }
};

class ImportRun {
 public:
  ImportRun(RealCore& core, const ImportOptions& options);
  ~ImportRun();

  /// To the end, to the first error, or until interrupt().
  Task<Status> run();
  void interrupt() {
    interrupted_ = true;
    pieces_.close();
  }
  bool begun() const { return begun_.ns != 0; }
  /// What is known at the end, as words or as JSON.
  std::string summary() const;

 private:
  // Before the first row (import_run.cc).
  Status open_input();
  Status read_record();
  Status open_rejects();
  Task<Status> open_table();
  Result<std::vector<std::string>> column_names();
  std::string settings() const;

  // Rows.
  Task<void> read_ahead();
  /// On one of the disk's threads.
  Result<Bytes> read_piece(uint64_t offset, size_t size) const;
  Task<Status> fill();
  Task<Status> take_header();
  Task<Status> send_rows();
  enum class Step : uint8_t { row, rejected, nothing };
  Step next_row();
  Step next_csv();
  Step next_json();
  Step reject(uint64_t line, uint64_t column, const std::string& name, const std::string& reason, std::string_view raw);
  Task<Status> end_stretch();
  Task<void> keep_rate();

  // Beside them.
  Task<void> save_regularly();
  Task<Status> save();
  Task<Status> save_now();
  Task<void> show_regularly();
  void show();

  RealCore& core_;
  const ImportOptions& options_;
  std::unique_ptr<Disk> disk_;  // for its threads
  std::unique_ptr<CqlCluster> cluster_;
  std::unique_ptr<cql::CqlClient> client_;
  TableInfo table_;
  std::optional<RowEncoder> encoder_;
  std::unique_ptr<BatchSender> sender_;
  std::optional<ImportTracker> tracker_;
  ImportRecord record_;
  bool resumed_ = false;

  Descriptor input_, rejects_;
  uint64_t input_bytes_ = 0;  // 0: not known
  Bytes begin_;               // of the input
  Channel<Bytes> pieces_{2};
  std::optional<Error> read_error_;
  CsvReader csv_;
  Bytes window_;
  size_t at_ = 0;        // in window_
  uint64_t offset_ = 0;  // of window_[at_] in the input
  uint64_t stretch_begin_ = 0;
  uint64_t line_ = 1;  // of the next JSON line
  bool last_ = false;  // the window holds the input's end

  std::optional<Error> bad_row_;  // the one that was too many
  uint64_t rejected_ = 0, rows_ = 0, acknowledged_ = 0;
  bool interrupted_ = false;
  std::atomic<bool> reading_ends_ = false;
  uint64_t saved_offset_ = UINT64_MAX;
  bool saving_ = false;
  WaitQueue saved_;                  // who waits for the end of that
  std::optional<Error> save_error_;  // rejects that could not be written
  Instant begun_{0};
  uint64_t begun_offset_ = 0, begun_rows_ = 0;
  ProgressBar bar_;
  TaskGroup tasks_;
};

}  // namespace asterism
