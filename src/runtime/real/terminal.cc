#include "runtime/real/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/real/process.h"
#include "runtime/real/system_file.h"
#include "runtime/real/terminal_mode.h"

namespace asterism {
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
  const TerminalMode mode(0, ICANON | ECHO | ISIG);
  auto byte = read_descriptor(0, 1);
  if (!byte || byte->empty()) return std::nullopt;
  return (*byte)[0];
}

Result<std::string> read_hidden_line(const std::string& prompt, size_t bytes_max) {
  Descriptor terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (terminal.get() < 0) return fail(ErrorCode::unavailable, "there is no terminal to ask on");
  const TerminalMode mode(terminal.get(), ICANON | ECHO | ISIG);
  TRY_STATUS(write_descriptor(terminal.get(), prompt));
  std::string line;
  std::optional<Error> failure;
  while (!failure) {
    char c = 0;
    const ssize_t got = ::read(terminal.get(), &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || c == '\x03' || c == '\x04') {
      failure = Error{ErrorCode::closed, "interrupted"};
    } else if (c == '\n' || c == '\r') {
      break;
    } else if (c == '\x7f' || c == '\b') {
      // A whole character of UTF-8.
      while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xc0) == 0x80) line.pop_back();
      if (!line.empty()) line.pop_back();
    } else if (c == '\x15') {
      line.clear();
    } else if (line.size() == bytes_max) {
      failure = Error{ErrorCode::too_large, "the line is too long"};
    } else {
      line += c;
    }
  }
  (void)write_descriptor(terminal.get(), "\n");
  if (failure) return fail(std::move(*failure));
  return line;
}

Result<std::string> read_input_line(size_t bytes_max) {
  std::string line;
  while (true) {
    char c = 0;
    const ssize_t got = ::read(0, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 && line.empty()) return fail(ErrorCode::closed, "standard input has no more lines");
    if (got <= 0 || c == '\n') break;
    if (line.size() == bytes_max) return fail(ErrorCode::too_large, "a line of standard input is too long");
    line += c;
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace asterism
