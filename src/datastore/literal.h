// Between CQL terms and serialized values.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/cql/ast.h"
#include "datastore/type.h"

namespace asterism::datastore {

/// The serialized value of a term made of constants, collections and tuples. `what` names the receiver in errors
/// ("Invalid STRING constant (abc) for \"v\" of type int"). null, bind markers and function calls are not constants
/// and are errors here: the caller evaluates them, at the top through Term::kind and within collections by replacing
/// them with Term::value(). Sets and maps come out sorted and without duplicates. Bounds: those of the parser.
Result<Bytes> to_bytes(const DataType& type, const cql::Term& term, std::string_view what);

/// From the text that a string constant holds, as in '2024-01-01' for a date; also the inverse of to_text() for types
/// without arguments.
Result<Bytes> from_text(const DataType& type, std::string_view text);

/// A CQL literal that to_bytes() turns into the same value: 'it''s', 0xcafe, {1: 'a'}. `value` must be valid; invalid
/// bytes print as 0x… blobs. Empty values of types whose literals cannot be empty print as ''.
std::string to_text(const DataType& type, BytesView value);

/// As to_text(), but strings, dates, times and timestamps at the top carry no quotes: what cqlsh shows.
std::string to_display(const DataType& type, BytesView value);

}  // namespace asterism::datastore
