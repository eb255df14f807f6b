#include "cli/output.h"

#include <algorithm>
#include <array>

#include "runtime/real/process.h"

namespace asterism {

static std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + "\"";
}

void JsonLine::key(std::string_view name) {
  if (body_.size() > 1) body_ += ',';
  body_ += quoted(name) + ":";
}

JsonLine& JsonLine::text(std::string_view name, std::string_view value) { return raw(name, quoted(value)); }
JsonLine& JsonLine::number(std::string_view name, int64_t value) { return raw(name, std::to_string(value)); }
JsonLine& JsonLine::boolean(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
JsonLine& JsonLine::raw(std::string_view name, std::string_view value) {
  key(name);
  body_ += value;
  return *this;
}

std::string node_json(const NodeConfig& config, int pid) {
  return JsonLine()
      .text("name", config.name)
      .number("pid", pid)
      .text("address", config.address)
      .number("cql", config.cql_port)
      .number("http", config.http_port)
      .str();
}

// Nobody may be reading any more, which is no reason to fail.
static void print(int descriptor, const std::string& line) { (void)write_descriptor(descriptor, line + "\n"); }

void print_line(std::string_view line) { print(1, std::string(line)); }
std::string as_typed(std::string text) {
  static constexpr std::string_view name = "asterism ";
  const auto called = environment("ASTERISM_COMMAND");
  if (!called || called->empty()) return text;
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const std::string_view rest = std::string_view(text).substr(at + name.size());
    const bool begins = at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n';
    const bool is_command =
        std::ranges::any_of(std::array<std::string_view, 5>{"up", "node", "cql", "import", "export"},
                            [&](std::string_view word) { return rest.starts_with(word); });
    if (!begins || !is_command) continue;
    text.replace(at, name.size() - 1, *called);
    at += called->size();
  }
  return text;
}

void print_error(std::string_view message) { print(2, "asterism: " + as_typed(std::string(message))); }

bool use_colours() { return is_terminal(1) && !environment("NO_COLOR"); }
static std::string styled(std::string_view text, int style) {
  return use_colours() ? fmt::format("\x1b[{}m{}\x1b[0m", style, text) : std::string(text);
}
std::string bold(std::string_view text) { return styled(text, 1); }
std::string dim(std::string_view text) { return styled(text, 2); }
std::string coloured(std::string_view text, Colour colour) { return styled(text, static_cast<int>(colour)); }

std::string size_text(uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  double value = static_cast<double>(bytes);
  for (; value >= 1023.5 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return unit > 0 && value < 9.95 ? fmt::format("{:.1f} {}", value, units[unit])
                                  : fmt::format("{:.0f} {}", value, units[unit]);
}

std::string printable(std::string_view text) {
  std::string out;
  for (char c : text)
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
  return out;
}

}  // namespace asterism
