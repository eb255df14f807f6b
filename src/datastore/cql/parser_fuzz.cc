#include <cstdlib>

#include "datastore/cql/parser.h"

using namespace asterism;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto statement = cql::parse(text);
  if (!statement && statement.error().message.empty()) std::abort();
  if (statement) {
    cql::Statement copy = *statement;
    if (copy.markers.size() != statement->markers.size()) std::abort();
  }
  cql::ParseLimits small{.max_size_bytes = size, .max_depth = 4, .max_terms = 16, .max_markers = 2};
  auto bounded = cql::parse(text, small);
  if (bounded && !statement) std::abort();
  (void)cql::parse_term(text);
  auto name = cql::parse("USE " + cql::quote_identifier(text));
  if (size > 0 && (!name || std::get<cql::Use>(name->body).keyspace != text)) std::abort();
  return 0;
}
