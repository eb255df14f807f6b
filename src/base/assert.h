// ASSERT(condition): a broken invariant ends the process at once, in release builds too. It is for bugs only: whatever
// a peer, a client or a disk can cause is an Error.
#pragma once

namespace asterism {

/// Prints the expression with its place on standard error and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace asterism

#define ASSERT(condition) \
  (__builtin_expect(!(condition), 0) ? ::asterism::assertion_failed(#condition, __FILE__, __LINE__) : (void)0)
