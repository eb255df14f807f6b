// Values of columns as JSON, both ways: numbers of up to 64 bits, booleans, and collections are JSON's own; everything
// else is a string in the form that CQL reads. Maps are objects, whose keys are the key's string, or its JSON in one.
// What to_json() writes, from_json() reads back to an equal value.
#pragma once

#include <boost/json/value.hpp>

#include "datastore/type.h"

namespace asterism {

/// Appends. `value` must be valid.
void to_json(const datastore::DataType& type, BytesView value, std::string& out);
void append_json_string(std::string_view text, std::string& out);

/// Errors: invalid_argument. null is one: the caller handles it.
Result<Bytes> from_json(const datastore::DataType& type, const boost::json::value& value);

}  // namespace asterism
