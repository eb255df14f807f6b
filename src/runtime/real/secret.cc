#include "runtime/real/secret.h"

#include <sys/random.h>

#include <cerrno>

#include "base/assert.h"

namespace asterism {

Bytes secret_bytes(size_t size) {
  Bytes bytes(size, '\0');
  for (size_t got = 0; got < size;) {
    const ssize_t more = getrandom(bytes.data() + got, size - got, 0);
    if (more > 0) got += static_cast<size_t>(more);
    ASSERT(more > 0 || errno == EINTR);
  }
  return bytes;
}

}  // namespace asterism
