// Waiting for what only asking tells: nodes answer over HTTP, and do not call back.
#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "base/time.h"

namespace asterism {

/// Calls `look` at once and then ten times a second, until it gives an outcome; nothing where that takes longer than
/// `limit`. Nothing else goes on meanwhile in these commands.
std::optional<Status> look_until(Duration limit, const std::function<std::optional<Status>()>& look);

}  // namespace asterism
