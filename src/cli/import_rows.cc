// The rows of an import: from the input's bytes to batches.
#include "cli/cql_json.h"
#include "cli/import_run.h"
#include "cli/output.h"
#include "runtime/io.h"
#include "runtime/real/terminal.h"

namespace asterism {
namespace {

constexpr size_t piece_bytes = 1 << 20, stretch_bytes = 256 << 10;
constexpr size_t line_bytes_max = CsvReader::record_bytes_max;
constexpr size_t stretches_max = 64, rejected_bytes_shown = 200;
constexpr Duration input_wait = 100ms;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// The bytes as text: what is no UTF-8 becomes one character a byte.
std::string as_text(std::string_view raw) {
  if (datastore::validate(datastore::TypeKind::text, raw)) return std::string(raw);
  std::string out;
  for (char c : raw) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | (byte >> 6));
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

std::string line_of(const std::vector<CsvField>& fields, char delimiter) {
  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += delimiter;
    append_csv(fields[i].text, delimiter, fields[i].quoted, line);
  }
  return line;
}

}  // namespace

Result<Bytes> ImportRun::read_piece(uint64_t offset, size_t size) const {
  while (options_.from_stdin() && !reading_ends_) {
    TRY(auto piece, read_descriptor_within(0, size, input_wait));
    if (piece) return std::move(*piece);
  }
  return options_.from_stdin() ? Result<Bytes>(Bytes()) : read_file_at(input_.get(), offset, size, options_.file);
}

/// Two pieces ahead of whoever takes them; an empty one is the end.
Task<void> ImportRun::read_ahead() {
  uint64_t offset = offset_;
  while (true) {
    auto piece = std::make_shared<Bytes>();
    const Status read = co_await run_blocking(*disk_, [this, piece, offset]() -> Status {
      TRY(*piece, read_piece(offset, piece_bytes));
      return {};
    });
    if (!read) {
      read_error_ = read.error();
      pieces_.close();
      co_return;
    }
    offset += piece->size();
    const bool end = piece->empty();
    if (!co_await pieces_.push(std::move(*piece)) || end) co_return;
  }
}

/// One piece more in the window.
Task<Status> ImportRun::fill() {
  auto piece = co_await pieces_.pop();
  if (!piece)
    co_return fail(
        read_error_.value_or(Error{ErrorCode::closed, interrupted_ ? "interrupted" : "the input is closed"}));
  window_.erase(0, at_);
  at_ = 0;
  last_ = piece->empty();
  window_ += *piece;
  co_return Status{};
}

/// The names of the columns, where the first record or an option says them.
Task<Status> ImportRun::take_header() {
  CO_TRY_STATUS(co_await fill());
  if (window_.starts_with(byte_order_mark)) {
    at_ += byte_order_mark.size();
    offset_ += byte_order_mark.size();
  }
  record_.columns = split_names(options_.columns);
  while (options_.header && !options_.jsonl) {
    const auto found = csv_.take(window_.data() + at_, window_.size() - at_, last_);
    at_ += csv_.consumed();
    offset_ += csv_.consumed();
    if (found == CsvReader::Found::bad)
      co_return fail(ErrorCode::invalid_argument, "{}:{}:{}: {}", options_.file, csv_.error().line, csv_.error().column,
                     csv_.error().reason);
    if (found == CsvReader::Found::record) {
      if (record_.columns.empty())
        for (const CsvField& field : csv_.fields()) record_.columns.emplace_back(field.text);
      break;
    }
    if (last_) break;
    CO_TRY_STATUS(co_await fill());
  }
  co_return Status{};
}

Task<Status> ImportRun::send_rows() {
  stretch_begin_ = offset_;
  while (!interrupted_ && !bad_row_ && !save_error_ && !sender_->failure()) {
    const Step step = next_row();
    if (step == Step::nothing) {
      if (last_) break;
      CO_TRY_STATUS(co_await fill());
      continue;
    }
    if (step == Step::row) {
      ++rows_;
      tracker_->add_row();
      if (const auto full = sender_->add(encoder_->token(), encoder_->values(), tracker_->stretch()))
        co_await sender_->send(*full);
      co_await keep_rate();
    }
    if (offset_ - stretch_begin_ >= stretch_bytes) CO_TRY_STATUS(co_await end_stretch());
  }
  if (bad_row_ || save_error_) co_return Status{};
  tracker_->close(offset_, options_.jsonl ? line_ : csv_.next_line());
  co_return Status{};
}

/// What has been read goes out before it waits, ten times a second.
Task<void> ImportRun::keep_rate() {
  if (options_.rows_per_s == 0 || rows_ % std::max<uint64_t>(1, options_.rows_per_s / 10) != 0) co_return;
  co_await sender_->send_all();
  const auto due =
      Duration(static_cast<int64_t>(static_cast<double>(rows_) * 1e9 / static_cast<double>(options_.rows_per_s)));
  if (const Duration early = begun_ + due - core_.executor().now(); early > 0ns) co_await sleep_for(early);
}

/// A batch that is filled slowly must not hold back what is behind it for ever.
Task<Status> ImportRun::end_stretch() {
  tracker_->close(offset_, options_.jsonl ? line_ : csv_.next_line());
  stretch_begin_ = offset_;
  if (tracker_->open_stretches() % stretches_max == 0) co_await sender_->send_all();
  co_return Status{};
}

ImportRun::Step ImportRun::next_row() { return options_.jsonl ? next_json() : next_csv(); }

ImportRun::Step ImportRun::next_csv() {
  char* const data = window_.data() + at_;
  const auto found = csv_.take(data, window_.size() - at_, last_);
  const size_t size = csv_.consumed();
  at_ += size;
  offset_ += size;
  if (found == CsvReader::Found::nothing) return Step::nothing;
  if (found == CsvReader::Found::bad)
    return reject(csv_.error().line, csv_.error().column, "", csv_.error().reason, {data, size});
  if (encoder_->encode_csv(csv_.fields())) return Step::row;
  return reject(csv_.line(), 0, encoder_->error().column, encoder_->error().reason,
                line_of(csv_.fields(), options_.delimiter));
}

ImportRun::Step ImportRun::next_json() {
  while (true) {
    const std::string_view rest = std::string_view(window_).substr(at_);
    const size_t newline = rest.find('\n');
    if (newline == std::string_view::npos && !last_ && rest.size() <= line_bytes_max) return Step::nothing;
    if (rest.empty()) return Step::nothing;
    std::string_view line = rest.substr(0, newline);
    const size_t size = newline == std::string_view::npos ? rest.size() : newline + 1;
    at_ += size;
    offset_ += size;
    const uint64_t number = line_++;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (line.size() > line_bytes_max) return reject(number, 0, "", "a line of over 16 MiB", line);
    if (encoder_->encode_json(line)) return Step::row;
    return reject(number, 0, encoder_->error().column, encoder_->error().reason, line);
  }
}

ImportRun::Step ImportRun::reject(uint64_t line, uint64_t column, const std::string& name, const std::string& reason,
                                  std::string_view raw) {
  if (++rejected_ > options_.errors_max) {
    std::string place = fmt::format("{}:{}", options_.from_stdin() ? "<stdin>" : options_.file, line);
    if (column > 0) place += fmt::format(":{}", column);
    if (!name.empty()) place += fmt::format(": column {}", printable(name));
    std::string advice = "Mend it";
    if (!options_.from_stdin()) advice += " and go on with --resume";
    bad_row_ =
        Error{ErrorCode::invalid_argument,
              fmt::format("{}: {}\n  {}\n  {}, or let rows be rejected with --max-errors N", place,
                          printable(as_text(reason)), printable(as_text(raw.substr(0, rejected_bytes_shown))), advice)};
    return Step::rejected;
  }
  while (raw.ends_with('\n') || raw.ends_with('\r')) raw.remove_suffix(1);
  std::string text = fmt::format("{{\"line\":{}", line);
  if (column > 0) text += fmt::format(",\"column\":{}", column);
  if (!name.empty()) {
    text += ",\"name\":";
    append_json_string(as_text(name), text);
  }
  text += ",\"reason\":";
  append_json_string(as_text(reason), text);
  text += ",\"row\":";
  append_json_string(as_text(raw), text);
  tracker_->add_reject(text + "}\n");
  return Step::rejected;
}

}  // namespace asterism
