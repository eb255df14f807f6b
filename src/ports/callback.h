// How a port answers: once, on the caller's core, later.
#pragma once

#include <functional>

#include "base/result.h"

namespace asterism {

/// Receives the outcome of one port operation. A port calls it exactly once, from the event loop of the core that
/// started the operation and never from inside the starting call; or, where the object that the operation belongs to
/// (stream, listener, file) is destroyed first, drops it uncalled.
template <class T>
using Callback = std::move_only_function<void(Result<T>)>;

}  // namespace asterism
