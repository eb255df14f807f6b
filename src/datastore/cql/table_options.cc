// WITH options of tables.
#include <charconv>
#include <cmath>

#include "datastore/cql/parser.h"
#include "datastore/cql/plan_schema.h"

namespace asterism::cql {

namespace {

enum class Form : uint8_t { text, seconds, chance, boolean, map, ratio };

struct KnownOption {
  const char* name;
  Form form;
  const char* otherwise;  // what a table has that does not say; maps as CQL literals
};

// Everything that Cassandra 4.1 knows. Those that only tune its own files are kept and shown, without effect.
constexpr KnownOption known_options[] = {
    {"additional_write_policy", Form::text, "99p"},
    {"allow_auto_snapshot", Form::boolean, nullptr},
    {"bloom_filter_fp_chance", Form::chance, "0.01"},
    {"caching", Form::map, "{'keys': 'ALL', 'rows_per_partition': 'NONE'}"},
    {"cdc", Form::boolean, nullptr},
    {"comment", Form::text, ""},
    {"compaction", Form::map,
     "{'class': 'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', 'max_threshold': '32', "
     "'min_threshold': '4'}"},
    {"compression", Form::map,
     "{'chunk_length_in_kb': '16', 'class': 'org.apache.cassandra.io.compress.LZ4Compressor'}"},
    {"crc_check_chance", Form::chance, "1.0"},
    {"dclocal_read_repair_chance", Form::chance, nullptr},
    {"default_time_to_live", Form::seconds, "0"},
    {"extensions", Form::map, "{}"},
    {"gc_grace_seconds", Form::seconds, "864000"},
    {"incremental_backups", Form::boolean, nullptr},
    {"max_index_interval", Form::seconds, "2048"},
    {"memtable", Form::text, nullptr},
    {"memtable_flush_period_in_ms", Form::seconds, "0"},
    {"min_index_interval", Form::seconds, "128"},
    {"nodesync", Form::map, nullptr},
    {"read_repair", Form::text, "BLOCKING"},
    {"read_repair_chance", Form::chance, nullptr},
    {"speculative_retry", Form::text, "99p"},
};

std::unexpected<wire::ErrorResponse> bad(wire::CqlErrorCode code, std::string message) {
  return std::unexpected(wire::ErrorResponse{code, std::move(message), {}});
}

/// A map literal with sorted keys, all strings.
std::string print_map(const Term& term) {
  std::map<std::string, std::string> sorted;
  for (size_t i = 0; i + 1 < term.items.size(); i += 2) sorted[term.items[i].text] = term.items[i + 1].text;
  std::string text;
  for (const auto& [key, value] : sorted) {
    text += (text.empty() ? "" : ", ") + quote_string(key) + ": " + quote_string(value);
  }
  return "{" + text + "}";
}

Answer<std::string> option_value(const KnownOption& option, const Term& term) {
  const std::string& text = term.text;
  using enum wire::CqlErrorCode;
  switch (option.form) {
    case Form::map:
      if (term.kind != Term::Kind::map && !(term.kind == Term::Kind::set && term.items.empty())) {
        return bad(syntax_error, fmt::format("Invalid value for property '{}'. It should be a map.", option.name));
      }
      return print_map(term);
    case Form::boolean:
      if (text != "true" && text != "false") {
        return bad(syntax_error, fmt::format("Invalid boolean value {} for '{}'", text, option.name));
      }
      return text;
    case Form::seconds: {
      int64_t number = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size() || number > INT32_MAX) {
        return bad(syntax_error, fmt::format("Invalid integer value {} for '{}'", text, option.name));
      }
      if (number < 0) {
        return bad(config_error, fmt::format("{} must be greater than or equal to 0 (got {})", option.name, number));
      }
      if (std::string_view(option.name) == "default_time_to_live" && number > 630720000) {
        return bad(config_error,
                   fmt::format("default_time_to_live must be less than or equal to 630720000 (got {})", number));
      }
      return text;
    }
    case Form::chance: {
      char* end = nullptr;
      const double number = std::strtod(text.c_str(), &end);
      if (text.empty() || end != text.c_str() + text.size()) {
        return bad(syntax_error, fmt::format("Invalid double value {} for '{}'", text, option.name));
      }
      if (!(number >= 0 && number <= 1)) {
        return bad(config_error, fmt::format("{} must be larger than or equal to 0 and smaller than or equal to 1.0 "
                                             "(got {})",
                                             option.name, text));
      }
      return text;
    }
    default:
      if (!term.items.empty()) {
        return bad(syntax_error, fmt::format("Invalid value for property '{}'. It should be a string", option.name));
      }
      return text;
  }
}

}  // namespace

Answer<std::map<std::string, std::string>> table_options(const Options& options, bool altering) {
  std::map<std::string, std::string> values;
  for (const KnownOption& option : known_options) {
    if (!altering && option.otherwise != nullptr) values[option.name] = option.otherwise;
  }
  for (const auto& [name, term] : options) {
    if (name == "id") return invalid("Setting the id of a table is not supported");
    const KnownOption* found = nullptr;
    for (const KnownOption& option : known_options) {
      if (name == option.name) found = &option;
    }
    if (found == nullptr) return bad(wire::CqlErrorCode::syntax_error, fmt::format("Unknown property '{}'", name));
    TRY(values[name], option_value(*found, term));
  }
  return values;
}

}  // namespace asterism::cql
