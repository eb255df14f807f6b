#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace asterism {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "asterism: assertion failed: %s at %s:%d\n", expression, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace asterism
