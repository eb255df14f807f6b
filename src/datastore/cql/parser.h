// CQL text to syntax tree. Pure: knows no schema, so names may turn out to be unknown later.
#pragma once

#include <string_view>

#include "base/result.h"
#include "datastore/cql/ast.h"

namespace asterism::cql {

/// Bounds on a statement; passing one is an error and costs no more than reading up to it.
struct ParseLimits {
  size_t max_size_bytes = 16 << 20;
  int max_depth = 64;          // of nested terms, selectors and types
  size_t max_terms = 1 << 20;  // terms, relations, columns and selectors together
  size_t max_markers = 65535;  // [short] in the protocol
};

/// Parses one statement, with or without a final semicolon. Errors are invalid_argument (or too_large for a bound)
/// with a message in Cassandra's form, to be sent as a SyntaxException:
///     line 1:9 mismatched input 'FORM' expecting K_FROM (SELECT * [FORM]...)
/// where, as in Cassandra, lines count from 1 and columns from 0, both in bytes of the text.
Result<Statement> parse(std::string_view text, const ParseLimits& limits = {});

/// A single term, such as a default or a literal typed at a prompt.
Result<Term> parse_term(std::string_view text, const ParseLimits& limits = {});

/// True if Cassandra would not accept `name` as a bare identifier: reserved, or not all [a-z0-9_] after a letter.
bool needs_quotes(std::string_view name);

/// `name` as it must be written in CQL: bare where possible, otherwise "quoted" with " doubled.
std::string quote_identifier(std::string_view name);

/// 'text' with ' doubled.
std::string quote_string(std::string_view text);

}  // namespace asterism::cql
