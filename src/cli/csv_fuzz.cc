#include <cstdint>

#include "base/assert.h"
#include "cli/csv.h"

/// The records of any bytes are the same however the bytes are cut, and what is written of them reads back the same.
using namespace asterism;

static std::vector<std::vector<std::string>> records_of(std::string text, size_t piece) {
  CsvReader reader;
  std::vector<std::vector<std::string>> records;
  std::string window;
  size_t at = 0;
  for (bool last = false; !last;) {
    const size_t size = std::min(piece, text.size() - at);
    window.append(text, at, size);
    at += size;
    last = at == text.size();
    while (true) {
      const auto found = reader.take(window.data(), window.size(), last);
      ASSERT(reader.consumed() <= window.size());
      if (found == CsvReader::Found::record) {
        auto& record = records.emplace_back();
        for (const CsvField& field : reader.fields()) record.emplace_back(field.text);
      }
      window.erase(0, reader.consumed());
      if (found == CsvReader::Found::nothing) break;
    }
  }
  return records;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto records = records_of(text, text.size() + 1);
  ASSERT(records == records_of(text, data[0] % 7 + 1));
  std::string written;
  for (const auto& record : records) {
    for (size_t i = 0; i < record.size(); ++i) {
      if (i > 0) written += ',';
      append_csv(record[i], ',', record[i].empty(), written);
    }
    written += '\n';
  }
  ASSERT(records_of(written, written.size() + 1) == records);
  return 0;
}
