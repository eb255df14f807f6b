#include "gateway/audit.h"

namespace asterism {
namespace {

constexpr size_t value_bytes_max = 1024;

/// In double quotes, these and backslashes escaped; the sink escapes control characters.
std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (char c : value.substr(0, value_bytes_max)) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

std::string outcome_of(const Status& outcome) {
  if (outcome) return "outcome=done";
  return "outcome=refused reason=" + quoted(outcome.error().message);
}

}  // namespace

void Audit::login(std::string_view name, const Address& from, const Status& outcome) const {
  log_.info("event=login user={} address={} {}", quoted(name), from.to_string(), outcome_of(outcome));
}

void Audit::change(std::string_view name, const Address& from, std::string_view what, const Status& outcome) const {
  log_.info("event=change user={} address={} what={} {}", quoted(name), from.to_string(), quoted(what),
            outcome_of(outcome));
}

}  // namespace asterism
