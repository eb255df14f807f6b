// Making the errors that clients see.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "datastore/cql/plan.h"

namespace asterism::cql {

/// `return invalid("Undefined column name {} in table {}", …)`: InvalidRequest, 0x2200.
template <class... Args>
std::unexpected<wire::ErrorResponse> invalid(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(
      wire::ErrorResponse{wire::CqlErrorCode::invalid, fmt::format(format, std::forward<Args>(args)...), {}});
}

wire::ErrorResponse to_error(const Error& error);

/// A Result's error as the one to send.
template <class T>
Answer<T> answer(Result<T> result) {
  if (result) return std::move(*result);
  return std::unexpected(to_error(result.error()));
}
inline Answer<void> answer(Status status) {
  if (status) return {};
  return std::unexpected(to_error(status.error()));
}

}  // namespace asterism::cql
