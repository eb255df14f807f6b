// Before the first row of an import, and beside the rows.
#include "cli/import_run.h"

#include "base/hash.h"
#include "cli/output.h"
#include "datastore/cql/parser.h"
#include "runtime/io.h"
#include "runtime/real/files.h"
#include "runtime/real/terminal.h"

namespace asterism {
namespace {

constexpr Duration connect_limit = 5s, schema_limit = 10s, save_every = 1s, show_every = 200ms;
constexpr size_t begin_bytes_max = 4096;

}  // namespace

ImportRun::ImportRun(RealCore& core, const ImportOptions& options)
    : core_(core), options_(options), csv_(options.delimiter), bar_(!options.json), tasks_(core.executor()) {}

ImportRun::~ImportRun() {
  tasks_.cancel();
  // Waits for what its threads still do with the input.
  reading_ends_ = true;
  disk_.reset();
}

/// What decides how the input's bytes become rows.
std::string ImportRun::settings() const {
  return fmt::format("table={} format={} header={} delimiter={:#x} null={} rejects={}", table_.quoted_name(),
                     options_.jsonl ? "jsonl" : "csv", options_.header, static_cast<uint8_t>(options_.delimiter),
                     cql::quote_string(options_.null_text), options_.rejects_path());
}

Status ImportRun::open_input() {
  if (options_.from_stdin()) return {};
  TRY(input_, open_file(options_.file, OpenMode::read));
  TRY(input_bytes_, size_of_file(input_.get(), options_.file));
  TRY(begin_, read_file_at(input_.get(), 0, begin_bytes_max, options_.file));
  return {};
}

/// Of an earlier run, which this one goes on with, or of a new one.
Status ImportRun::read_record() {
  const std::string path = options_.progress_path();
  record_.settings = settings();
  record_.timestamp_us = core_.clock().wall_now().us;
  const bool there = !options_.from_stdin() && file_exists(path);
  if (there && !options_.resume)
    return fail(ErrorCode::already_exists,
                "{} says that an import of this file was not finished: go on with --resume, or delete it to start over",
                path);
  if (!there) return {};
  TRY(const Bytes text, read_file(path));
  auto earlier = ImportRecord::parse(text);
  if (!earlier) return fail(ErrorCode::corrupt, "{}: {}; delete it to start over", path, earlier.error().message);
  if (earlier->settings != record_.settings)
    return fail(ErrorCode::invalid_argument,
                "{} is of an import with other options ({}); give the same ones, or delete it to start over", path,
                printable(earlier->settings));
  if (earlier->begin_bytes > begin_.size() || earlier->position.offset > input_bytes_ ||
      earlier->begin != to_hex(std::to_string(xxh3(BytesView(begin_).substr(0, earlier->begin_bytes)))))
    return fail(ErrorCode::invalid_argument,
                "{} is not the file any more that the import began with: delete {} to start over", options_.file, path);
  record_ = std::move(*earlier);
  resumed_ = true;
  return {};
}

/// What an earlier run rejected behind its position is rejected again, so it goes.
Status ImportRun::open_rejects() {
  if (options_.errors_max == 0) return {};
  const std::string path = options_.from_stdin() && options_.rejects.empty() ? "rejects" : options_.rejects_path();
  if (!resumed_ && file_exists(path)) TRY_STATUS(remove_file(path));
  const bool there = file_exists(path);
  TRY(rejects_, open_file(path, there ? OpenMode::append : OpenMode::create));
  if (there) {
    TRY(const uint64_t size, size_of_file(rejects_.get(), path));
    if (size > record_.position.rejects_bytes)
      TRY_STATUS(truncate_file(rejects_.get(), record_.position.rejects_bytes, path));
  }
  return {};
}

Task<Status> ImportRun::open_table() {
  CO_TRY(client_, co_await cluster_->connect(connect_limit, cql::wire::Version::v4));
  std::string keyspace, table;
  CO_TRY_STATUS(parse_table_name(options_.table, keyspace, table));
  CO_TRY(table_, co_await read_table(*client_, keyspace, table, core_.executor().now() + schema_limit));
  co_return Status{};
}

Task<Status> ImportRun::run() {
  CO_TRY(cluster_, CqlCluster::open(core_, options_.access));
  CO_TRY(disk_, core_.open_disk("."));
  CO_TRY_STATUS(open_input());
  CO_TRY_STATUS(co_await open_table());
  CO_TRY_STATUS(read_record());
  CO_TRY_STATUS(open_rejects());
  offset_ = begun_offset_ = stretch_begin_ = record_.position.offset;
  line_ = record_.position.line;
  csv_.set_next_line(line_);
  rejected_ = record_.position.rejected;
  begun_rows_ = record_.position.rows;
  tasks_.spawn(read_ahead());
  if (!resumed_) CO_TRY_STATUS(co_await take_header());
  record_.position.offset = offset_;
  record_.position.line = options_.jsonl ? line_ : csv_.next_line();
  tracker_.emplace(record_.position);
  CO_TRY(auto columns, choose_columns(table_, record_.columns));
  if (record_.columns.empty())
    for (const TableColumn& column : columns) record_.columns.push_back(column.name);
  CO_TRY(encoder_, RowEncoder::create(table_, std::move(columns), options_.null_text));
  BatchSenderOptions sending;
  sending.statement = encoder_->statement();
  sending.consistency = options_.consistency;
  sending.timestamp_us = record_.timestamp_us;
  sending.batches_under_way_max = options_.concurrency;
  sender_ = std::make_unique<BatchSender>(core_, *cluster_, std::move(sending), [this](const BatchPart& part) {
    acknowledged_ += part.rows;
    tracker_->acknowledge(part.stretch, part.rows);
  });
  CO_TRY(auto ring, co_await read_ring(*client_, cluster_->nodes(), core_.executor().now() + schema_limit));
  CO_TRY_STATUS(co_await sender_->open(std::move(ring)));
  client_.reset();
  begun_ = core_.executor().now();
  tasks_.spawn(save_regularly());
  tasks_.spawn(show_regularly());
  Status sent = co_await send_rows();
  co_await sender_->finish();
  Status saved = co_await save();
  bar_.clear();
  if (sender_->failure()) co_return fail(*sender_->failure());
  if (bad_row_) co_return fail(*bad_row_);
  if (interrupted_) co_return fail(ErrorCode::closed, "interrupted");
  if (!sent) co_return sent;
  if (!saved && !options_.from_stdin()) co_return saved;
  if (save_error_) co_return fail(*save_error_);
  if (!options_.from_stdin()) (void)remove_file(options_.progress_path());
  co_return Status{};
}

Task<void> ImportRun::save_regularly() {
  while (true) {
    co_await sleep_for(save_every);
    // A disk that is full or gone must not end an import; the next run goes on from an earlier place.
    (void)co_await save();
  }
}

/// Rejects first, so that the record never counts what is not there.
Task<Status> ImportRun::save() {
  while (saving_) co_await saved_.wait();
  if (save_error_) co_return fail(*save_error_);
  saving_ = true;
  Status saved = co_await save_now();
  saving_ = false;
  saved_.wake_all();
  co_return saved;
}

Task<Status> ImportRun::save_now() {
  const std::string rejects = tracker_->advance();
  const ImportPosition position = tracker_->position();
  if (!rejects.empty()) {
    if (Status written = write_all(rejects_.get(), {rejects}, options_.rejects_path()); !written) {
      save_error_ = written.error();
      co_return written;
    }
  }
  if (position.offset == saved_offset_ || options_.from_stdin()) co_return Status{};
  record_.position = position;
  record_.begin_bytes = std::min<uint64_t>(begin_.size(), position.offset);
  record_.begin = to_hex(std::to_string(xxh3(BytesView(begin_).substr(0, record_.begin_bytes))));
  CO_TRY_STATUS(co_await run_blocking(*disk_,
                                      [path = options_.progress_path(), text = record_.to_text(),
                                       descriptor = rejects_.get(), also = options_.rejects_path()]() -> Status {
                                        if (descriptor >= 0) TRY_STATUS(sync_data(descriptor, also));
                                        return write_file(path, text);
                                      }));
  saved_offset_ = position.offset;
  co_return Status{};
}

Task<void> ImportRun::show_regularly() {
  while (bar_.shown()) {
    show();
    co_await sleep_for(show_every);
  }
}

void ImportRun::show() {
  const Duration took = core_.executor().now() - begun_;
  const double seconds = std::max(1e-3, static_cast<double>(took.count()) * 1e-9);
  std::string words = fmt::format("{} rows  {} rows/s  {}", with_commas(acknowledged_),
                                  with_commas(static_cast<uint64_t>(static_cast<double>(acknowledged_) / seconds)),
                                  byte_words(offset_));
  double fraction = -1;
  if (input_bytes_ > 0) {
    fraction = static_cast<double>(offset_) / static_cast<double>(input_bytes_);
    const double done =
        static_cast<double>(offset_ - begun_offset_) / static_cast<double>(input_bytes_ - begun_offset_);
    if (done > 0.01)
      words += fmt::format("  {} left", time_words(Duration(static_cast<int64_t>((1 - done) / done * seconds * 1e9))));
  }
  if (rejected_ > 0) words += fmt::format("  {} rejected", with_commas(rejected_));
  bar_.show(fraction, words);
}

std::string ImportRun::summary() const {
  const double seconds = begun_.ns == 0 ? 0 : static_cast<double>((core_.executor().now() - begun_).count()) * 1e-9;
  const auto per_s = static_cast<uint64_t>(seconds > 0 ? static_cast<double>(acknowledged_) / seconds : 0);
  const uint64_t rejected = tracker_ ? tracker_->position().rejected : 0;
  if (options_.json)
    return JsonLine()
        .number("rows", static_cast<int64_t>(acknowledged_))
        .number("rows_before", static_cast<int64_t>(begun_rows_))
        .number("rejected", static_cast<int64_t>(rejected))
        .number("retries", static_cast<int64_t>(sender_ ? sender_->retries() : 0))
        .number("bytes", static_cast<int64_t>(offset_ - begun_offset_))
        .raw("seconds", fmt::format("{:.3f}", seconds))
        .number("rows_per_s", static_cast<int64_t>(per_s))
        .boolean("resumed", resumed_)
        .str();
  std::string words =
      fmt::format("{} rows in {:.1f} s ({} rows/s)", with_commas(acknowledged_), seconds, with_commas(per_s));
  if (resumed_) words += fmt::format(", after {} of an earlier run", with_commas(begun_rows_));
  if (options_.resume && !resumed_) words += ", from the beginning: no earlier run of this file left a record";
  if (rejected > 0)
    words += fmt::format("; {} rejected, see {}", with_commas(rejected),
                         options_.from_stdin() && options_.rejects.empty() ? "rejects" : options_.rejects_path());
  return words;
}

}  // namespace asterism
