// The terminal of this process, for commands that talk with a person: its size, single keys, and lines with editing.
// These block the calling thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism {

/// Up to `max_bytes` bytes, as soon as there are any; none at the end. Errors: io.
Result<Bytes> read_descriptor(int descriptor, size_t max_bytes);

/// None where the descriptor is no terminal.
std::optional<size_t> terminal_columns(int descriptor);

/// One key from standard input, without waiting for a newline and without echo. None at the end of input.
std::optional<char> read_key();

/// Shows the prompt on the process's terminal and reads a line there that nobody sees. Errors: unavailable (there is no
/// terminal), closed (interrupted), too_large.
Result<std::string> read_hidden_line(const std::string& prompt, size_t bytes_max);
/// The next line of standard input, of which nothing more is taken. Errors: closed (there is none), too_large.
Result<std::string> read_input_line(size_t bytes_max);

/// What may stand where the cursor is: each replaces the last `replaces` bytes before it.
struct Completion {
  size_t replaces = 0;
  std::vector<std::string> words;
};

/// Lines from standard input with editing, history and completion. One at a time in a process.
class LineEditor {
 public:
  struct Options {
    std::string history_path;  // kept for the user alone; empty: none. Its folder must exist
    int history_lines = 2000;
    /// Gets the line up to the cursor.
    std::function<Completion(std::string_view)> complete;
  };
  enum class End : uint8_t { line, cancelled, end };  // newline; Ctrl-C; Ctrl-D on an empty line, or end of input
  struct Line {
    End end = End::end;
    std::string text;  // without its newline
  };

  /// Errors: io where standard input cannot be edited.
  static Result<std::unique_ptr<LineEditor>> open(Options options);
  virtual ~LineEditor() = default;
  virtual Line read(const std::string& prompt) = 0;
  /// Adds to the history and to its file.
  virtual void remember(const std::string& entry) = 0;
};

}  // namespace asterism
