#include "runtime/real/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/real/process.h"
#include "runtime/real/system_file.h"

namespace asterism {
namespace {

/// Changes the settings of the terminal at standard input until it is destroyed.
class TerminalMode {
 public:
  explicit TerminalMode(tcflag_t without) : changed_(::tcgetattr(0, &before_) == 0) {
    if (!changed_) return;
    termios mode = before_;
    mode.c_lflag &= ~without;
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    (void)::tcsetattr(0, TCSADRAIN, &mode);
  }
  TerminalMode(const TerminalMode&) = delete;
  ~TerminalMode() {
    if (changed_) (void)::tcsetattr(0, TCSADRAIN, &before_);
  }

 private:
  termios before_{};
  bool changed_;
};

}  // namespace

Result<Bytes> read_descriptor(int descriptor, size_t max_bytes) {
  Bytes bytes(max_bytes, '\0');
  ssize_t got;
  do got = ::read(descriptor, bytes.data(), max_bytes);
  while (got < 0 && errno == EINTR);
  if (got < 0) return std::unexpected(error_from_errno(errno, "read"));
  bytes.resize(static_cast<size_t>(got));
  return bytes;
}

std::optional<size_t> terminal_columns(int descriptor) {
  winsize size{};
  if (!is_terminal(descriptor) || ::ioctl(descriptor, TIOCGWINSZ, &size) != 0) return std::nullopt;
  return size.ws_col > 0 ? size.ws_col : 80;
}

std::optional<char> read_key() {
  TerminalMode mode(ICANON | ECHO | ISIG);
  auto byte = read_descriptor(0, 1);
  if (!byte || byte->empty()) return std::nullopt;
  return (*byte)[0];
}

/// What a line of hidden input becomes by one more byte; true at its end.
static Result<bool> take_secret_byte(std::string& line, char byte, bool typed) {
  constexpr size_t most = 4096;
  constexpr char interrupt = '\x03', end_of_input = '\x04', erase = '\x7f', erase_line = '\x15';
  if (byte == '\n' || (typed && byte == '\r')) return true;
  if (typed && (byte == interrupt || byte == end_of_input)) return fail(ErrorCode::closed, "interrupted");
  if (typed && byte == erase_line) {
    line.clear();
  } else if (typed && (byte == erase || byte == '\b')) {
    // A whole character of UTF-8.
    while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xc0) == 0x80) line.pop_back();
    if (!line.empty()) line.pop_back();
  } else if (line.size() == most) {
    return fail(ErrorCode::too_large, "the line has more than {} bytes", most);
  } else {
    line += byte;
  }
  return false;
}

Result<std::string> read_secret(const std::string& prompt) {
  const bool typed = is_terminal(0);
  TerminalMode mode(ICANON | ECHO | ISIG);
  if (typed) TRY_STATUS(write_descriptor(2, prompt));
  std::string line;
  Result<bool> done = false;
  while (done && !*done) {
    TRY(const Bytes byte, read_descriptor(0, 1));
    if (byte.empty() && line.empty()) return fail(ErrorCode::closed, "the input has ended");
    done = byte.empty() ? Result<bool>(true) : take_secret_byte(line, byte[0], typed);
  }
  if (typed) TRY_STATUS(write_descriptor(2, "\n"));
  if (!done) return fail(std::move(done).error());
  return line;
}

}  // namespace asterism
