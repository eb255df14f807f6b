// What commands print: lines of JSON for scripts, words and colours for people.
#pragma once

#include <string>
#include <string_view>

#include "node/node_config.h"

namespace asterism {

/// A JSON object that is built member by member and printed as one line.
class JsonLine {
 public:
  JsonLine& text(std::string_view key, std::string_view value);
  JsonLine& number(std::string_view key, int64_t value);
  JsonLine& boolean(std::string_view key, bool value);
  /// `value` is JSON already.
  JsonLine& raw(std::string_view key, std::string_view value);
  std::string str() const { return body_ + "}"; }

 private:
  void key(std::string_view name);
  std::string body_ = "{";
};

/// {"name":"n1","pid":1,"address":"127.0.0.1","cql":9042,"http":7070}
std::string node_json(const NodeConfig& config, int pid);

/// With `asterism up`, `asterism node` and the like as the reader has to type them: ASTERISM_COMMAND says how this
/// program was called, where that is not by its name.
std::string as_typed(std::string text);

/// Writes the line and its newline to standard output at once.
void print_line(std::string_view line);
/// "asterism: <message>" on standard error, as_typed().
void print_error(std::string_view message);

/// Whether standard output takes colours: a terminal, and NO_COLOR is not set.
bool use_colours();
std::string bold(std::string_view text);
std::string dim(std::string_view text);
enum class Colour : uint8_t { red = 31, green = 32, yellow = 33 };
std::string coloured(std::string_view text, Colour colour);
/// "812 B", "1.5 KiB", "24 MiB".
std::string size_text(uint64_t bytes);
/// Without control characters, so that what another process said cannot steer the terminal.
std::string printable(std::string_view text);

}  // namespace asterism
