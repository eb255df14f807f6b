// What the HTTP and RPC requests of a node's commands share.
#pragma once

#include <boost/json.hpp>

#include "gateway/http_message.h"

namespace asterism {

/// The answer to a command that failed, with its words.
inline HttpResponse refusal(const Error& error) {
  int status = 503;
  switch (error.code) {
    case ErrorCode::corrupt:
      status = 400;
      break;
    case ErrorCode::unauthorized:
      status = 403;
      break;
    case ErrorCode::already_exists:
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
    case ErrorCode::too_large:
    case ErrorCode::unsupported:
      status = 409;
      break;
    case ErrorCode::overloaded:
      status = 429;
      break;
    default:
      break;
  }
  return HttpResponse::text(status, error.message + "\n");
}

/// A member of the object; empty or 0 where there is none of that type.
inline std::string text_or_empty(const boost::json::object& object, const char* name) {
  const boost::json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}
inline int64_t number_or_zero(const boost::json::object& object, const char* name) {
  const boost::json::value* value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace asterism
