#include "base/result.h"

namespace asterism {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::unauthorized:
      return "unauthorized";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::overloaded:
      return "overloaded";
    case ErrorCode::closed:
      return "closed";
    case ErrorCode::not_leader:
      return "not_leader";
    case ErrorCode::wrong_epoch:
      return "wrong_epoch";
    case ErrorCode::too_large:
      return "too_large";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::io:
      return "io";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

std::string Error::to_string() const { return fmt::format("{}: {}", asterism::to_string(code), message); }

}  // namespace asterism
