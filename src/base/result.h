// Errors are values: every boundary returns Result<T>. Exceptions mean bugs or exhausted memory and end the process.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace asterism {

/// What went wrong, in the terms a protocol face needs to choose its own error code.
enum class ErrorCode : uint8_t {
  invalid_argument,  // the caller's input is wrong; repeating it cannot help
  not_found,
  already_exists,
  unsupported,  // well-formed, but this build does not offer it
  unauthorized,
  unavailable,  // too few live replicas, or no leader: nothing was done
  timeout,      // the deadline passed; the operation may or may not have happened
  overloaded,   // a bound was hit; try later
  closed,       // the peer or the owner went away
  not_leader,   // another node leads this group
  wrong_epoch,  // the caller's shard map is older or newer than ours
  too_large,    // a limit on size, depth or count was passed
  corrupt,      // stored or received bytes fail their checksum or their format
  no_space,     // the disk is full
  io,           // the operating system refused
  internal,
};

/// The code's name as it appears in messages and logs, such as "not_found".
const char* to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // for a person; says what to do next where that is known

  std::string to_string() const;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

template <class... Args>
std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace asterism

#define ASTERISM_JOIN2(a, b) a##b
#define ASTERISM_JOIN(a, b) ASTERISM_JOIN2(a, b)

// TRY(auto x, expression): x is the value, or the enclosing function returns the error. TRY_STATUS for Status.
// The CO_ forms serve coroutines.
#define TRY_RETURN_(keyword, result, declaration, ...)      \
  auto result = (__VA_ARGS__);                              \
  if (!result) [[unlikely]]                                 \
    keyword ::std::unexpected(::std::move(result).error()); \
  declaration = ::std::move(*result)
#define TRY(declaration, ...) TRY_RETURN_(return, ASTERISM_JOIN(try_result_, __LINE__), declaration, __VA_ARGS__)
#define CO_TRY(declaration, ...) TRY_RETURN_(co_return, ASTERISM_JOIN(try_result_, __LINE__), declaration, __VA_ARGS__)
#define TRY_STATUS_(keyword, ...)                                 \
  do {                                                            \
    auto try_status = (__VA_ARGS__);                              \
    if (!try_status) [[unlikely]]                                 \
      keyword ::std::unexpected(::std::move(try_status).error()); \
  } while (false)
#define TRY_STATUS(...) TRY_STATUS_(return, __VA_ARGS__)
#define CO_TRY_STATUS(...) TRY_STATUS_(co_return, __VA_ARGS__)
