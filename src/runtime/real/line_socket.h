// Questions and answers of one line each, between processes of one user on this machine: over a unix socket in the
// file system with mode 0600.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "ports/callback.h"

namespace asterism {

class RealCore;

/// Answers until it is destroyed; then the socket's file is removed.
class LineServer {
 public:
  virtual ~LineServer() = default;
};

/// How one question is answered: once, now or later, on the core. Without its newline.
using LineReply = std::move_only_function<void(std::string line)>;

/// Replaces a socket that was left at `path`, which may be of any length. Connections beyond 64, questions over 4 KiB
/// and callers that send nothing for 10 s are dropped. Errors: io.
Result<std::unique_ptr<LineServer>> serve_lines(RealCore& core, const std::string& path,
                                                std::function<void(std::string question, LineReply reply)> answer);

/// Asks who serves at `path`. Errors: unavailable (nobody does), closed, timeout, too_large (an answer over 64 KiB).
void ask_line(RealCore& core, const std::string& path, std::string question, Duration limit,
              Callback<std::string> done);

}  // namespace asterism
