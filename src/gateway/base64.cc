#include "gateway/base64.h"

#include <openssl/evp.h>

namespace asterism {

std::string to_base64(BytesView bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

bool from_base64(std::string_view text, Bytes& out, size_t most) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > most) return false;
  out.assign(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size())) < 0)
    return false;
  out.resize(out.size() - (text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0));
  return true;
}

}  // namespace asterism
