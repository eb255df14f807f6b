#include "cluster/settings.h"

#include <charconv>

namespace asterism {

constexpr std::string_view move_rate = "move_mib_per_second", balancing = "balancer";

static Status set_number(std::string_view name, std::string_view value, uint32_t most, uint32_t& to) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < 1 || number > most)
    return fail(ErrorCode::invalid_argument, "{} must be a number from 1 to {}, not '{}'", name, most, value);
  to = number;
  return {};
}

Status ClusterSettings::set(std::string_view name, std::string_view value) {
  if (name == move_rate) return set_number(name, value, most_move_mib_per_second, move_mib_per_second);
  if (name == balancing) {
    if (value != "on" && value != "off")
      return fail(ErrorCode::invalid_argument, "{} must be on or off, not '{}'", name, value);
    balancer = value == "on";
    return {};
  }
  std::string known;
  for (const auto& [each, now] : list()) known += (known.empty() ? "" : ", ") + each;
  return fail(ErrorCode::not_found, "there is no setting '{}': there are {}", name, known);
}

std::map<std::string, std::string> ClusterSettings::list() const {
  return {{std::string(move_rate), std::to_string(move_mib_per_second)},
          {std::string(balancing), balancer ? "on" : "off"}};
}

}  // namespace asterism
