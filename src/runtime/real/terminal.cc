#include "runtime/real/terminal.h"

#include <poll.h>
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

Result<std::optional<Bytes>> read_descriptor_within(int descriptor, size_t max_bytes, Duration limit) {
  pollfd waiting{descriptor, POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  if (::poll(&waiting, 1, static_cast<int>(ms)) == 0) return std::optional<Bytes>();
  TRY(Bytes bytes, read_descriptor(descriptor, max_bytes));
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

Result<std::string> read_secret(const std::string& prompt) {
  TerminalMode mode(ECHO);
  TRY_STATUS(write_descriptor(2, prompt));
  std::string line;
  while (true) {
    TRY(const Bytes byte, read_descriptor(0, 1));
    if (byte.empty() && line.empty()) return fail(ErrorCode::closed, "the input has ended");
    if (byte.empty() || byte[0] == '\n') break;
    line += byte;
  }
  TRY_STATUS(write_descriptor(2, "\n"));
  return line;
}

}  // namespace asterism
