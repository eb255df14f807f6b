#include "runtime/real/full_screen.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>

#include "runtime/real/impl.h"
#include "runtime/real/process.h"
#include "runtime/real/system_file.h"
#include "runtime/real/terminal_mode.h"

namespace asterism {
namespace {

constexpr const char* own_terminal = "/dev/tty";
// Second buffer, no cursor, no wrapping of long lines; and back.
constexpr std::string_view begin_screen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view end_screen = "\x1b[?7h\x1b[?25h\x1b[?1049l";

struct KeyState : std::enable_shared_from_this<KeyState> {
  KeyState(RealCore::Impl& core, int number, std::function<void(char)> function)
      : descriptor(core.io, number), key(std::move(function)) {}

  void wait() {
    descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (!error && self->key) self->take();
                          });
  }

  void take() {
    char typed[64];
    const ssize_t got = ::read(descriptor.native_handle(), typed, sizeof typed);
    if (got <= 0) return;
    // A special key arrives as a whole, behind an escape.
    for (ssize_t i = 0; i < got && typed[i] != '\x1b' && key; ++i) key(typed[i]);
    if (key) wait();
  }

  boost::asio::posix::stream_descriptor descriptor;
  std::function<void(char)> key;
};

class RealFullScreen final : public FullScreen {
 public:
  // The terminal is opened anew, because waiting on standard input would change it for others that have it.
  RealFullScreen(RealCore& core, Descriptor terminal, std::function<void(char)> key)
      : mode_(terminal.get(), ICANON | ECHO),
        keys_(std::make_shared<KeyState>(core.impl(), terminal.release(), std::move(key))) {
    (void)write_descriptor(1, begin_screen);
    keys_->wait();
  }
  ~RealFullScreen() override {
    auto dropped = std::exchange(keys_->key, nullptr);
    keys_->descriptor.cancel();
    (void)write_descriptor(1, end_screen);
  }
  Status show(std::string_view lines) override {
    std::string frame = "\x1b[H";
    while (!lines.empty()) {
      const size_t end = std::min(lines.find('\n'), lines.size());
      frame += lines.substr(0, end);
      frame += "\x1b[K";
      lines.remove_prefix(std::min(end + 1, lines.size()));
      if (!lines.empty()) frame += "\r\n";
    }
    return write_descriptor(1, frame + "\x1b[J");
  }

 private:
  TerminalMode mode_;
  std::shared_ptr<KeyState> keys_;
};

}  // namespace

TerminalSize terminal_size() {
  winsize size{};
  TerminalSize known;
  if (::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) known = {size.ws_col, size.ws_row};
  return known;
}

Result<std::unique_ptr<FullScreen>> FullScreen::open(RealCore& core, std::function<void(char)> key) {
  Descriptor terminal(::open(own_terminal, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (terminal.get() < 0) return std::unexpected(error_from_errno(errno, "open the terminal"));
  return std::make_unique<RealFullScreen>(core, std::move(terminal), std::move(key));
}

}  // namespace asterism
