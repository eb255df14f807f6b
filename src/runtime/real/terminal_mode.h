// Internal to this folder: the settings of a terminal.
#pragma once

#include <termios.h>
#include <unistd.h>

namespace asterism {

/// Takes flags of `c_lflag` off; what was before is back when it is destroyed. Does nothing where there is no terminal.
class TerminalMode {
 public:
  TerminalMode(int descriptor, tcflag_t without)
      : descriptor_(descriptor), known_(::tcgetattr(descriptor, &before_) == 0) {
    if (!known_) return;
    termios mode = before_;
    mode.c_lflag &= ~without;
    // Being stopped would leave the terminal as it is now.
    mode.c_cc[VSUSP] = _POSIX_VDISABLE;
    mode.c_cc[VQUIT] = _POSIX_VDISABLE;
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    (void)::tcsetattr(descriptor_, TCSADRAIN, &mode);
  }
  TerminalMode(const TerminalMode&) = delete;
  ~TerminalMode() {
    if (known_) (void)::tcsetattr(descriptor_, TCSADRAIN, &before_);
  }

 private:
  int descriptor_;
  termios before_{};
  bool known_;
};

}  // namespace asterism
