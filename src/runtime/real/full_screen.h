// All of the screen of the process's terminal, and the keys that are typed meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace asterism {

class RealCore;

struct TerminalSize {
  size_t columns = 80, rows = 24;
};
/// 80 x 24 where the terminal does not say.
TerminalSize terminal_size();

/// Has the whole screen of the process's terminal, in its second buffer, until it is destroyed; then everything is as
/// it was before. Interrupting the process remains a signal; who has this handles SIGINT, SIGTERM and SIGHUP.
class FullScreen {
 public:
  /// `key` gets each character that is typed, from the loop; sequences of special keys are left out. Errors: io.
  static Result<std::unique_ptr<FullScreen>> open(RealCore& core, std::function<void(char)> key);
  virtual ~FullScreen() = default;
  /// Replaces what is shown by these lines, in one write. Errors: as of write_descriptor().
  virtual Status show(std::string_view lines) = 0;
};

}  // namespace asterism
