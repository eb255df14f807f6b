// Base64 with padding (RFC 4648 section 4).
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace asterism {

std::string to_base64(BytesView bytes);
/// False where `text` is empty, malformed, or longer than `most` characters.
bool from_base64(std::string_view text, Bytes& out, size_t most = 1024);

}  // namespace asterism
