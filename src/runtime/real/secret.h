// Randomness that nobody can guess: for keys and passwords.
#pragma once

#include "base/bytes.h"

namespace asterism {

/// From the kernel.
Bytes secret_bytes(size_t size);

}  // namespace asterism
