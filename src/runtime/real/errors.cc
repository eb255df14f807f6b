#include <cerrno>
#include <cstring>

#include "runtime/real/impl.h"

namespace asterism {

static ErrorCode code_of_errno(int number) {
  switch (number) {
    case ENOENT:
    case ESRCH:
      return ErrorCode::not_found;
    case EEXIST:
    case EADDRINUSE:
      return ErrorCode::already_exists;
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::no_space;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return ErrorCode::overloaded;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
      return ErrorCode::unavailable;
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case EPIPE:
    case EBADF:
    case ECANCELED:
      return ErrorCode::closed;
    default:
      return ErrorCode::io;
  }
}

Error error_from_errno(int number, const std::string& what) {
  char buffer[128];
  return {code_of_errno(number), fmt::format("{}: {}", what, strerror_r(number, buffer, sizeof buffer))};
}

}  // namespace asterism
