#include "cli/csv.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

using Records = std::vector<std::vector<std::string>>;

/// Fed in pieces; errors become records of "!line:column reason", quoted fields end in "'".
Records read(const std::string& text, size_t piece = SIZE_MAX, char delimiter = ',') {
  CsvReader reader(delimiter);
  Records records;
  std::string window;
  size_t at = 0;
  for (bool last = false; !last;) {
    const size_t size = std::min(piece, text.size() - at);
    window.append(text, at, size);
    at += size;
    last = at == text.size();
    for (auto found = CsvReader::Found::record; found != CsvReader::Found::nothing;) {
      found = reader.take(window.data(), window.size(), last);
      if (found == CsvReader::Found::record) {
        auto& record = records.emplace_back();
        for (const CsvField& field : reader.fields())
          record.push_back(std::string(field.text) + (field.quoted ? "'" : ""));
      }
      if (found == CsvReader::Found::bad)
        records.push_back({"!" + std::to_string(reader.error().line) + ":" + std::to_string(reader.error().column)});
      window.erase(0, reader.consumed());
    }
  }
  EXPECT_TRUE(window.empty());
  return records;
}

TEST(Csv, RecordsOfRfc4180) {
  for (size_t piece : {size_t{1}, size_t{2}, size_t{3}, SIZE_MAX}) {
    EXPECT_EQ(read("a,b\r\nc,d\n", piece), (Records{{"a", "b"}, {"c", "d"}}));
    EXPECT_EQ(read("a,b", piece), (Records{{"a", "b"}})) << "the last line needs no end";
    EXPECT_EQ(read("\"a\",\"b,\"\"c\"\"\n d\"\r\n", piece), (Records{{"a'", "b,\"c\"\n d'"}}));
    EXPECT_EQ(read("a,,\n,\n", piece), (Records{{"a", "", ""}, {"", ""}}));
    EXPECT_EQ(read("\"\"\n\"\"", piece), (Records{{"'"}, {"'"}}));
    EXPECT_EQ(read("\n\r\na\n\n\nb\n\n", piece), (Records{{"a"}, {"b"}})) << "empty lines are none";
    EXPECT_EQ(read("a b,\tc \n", piece), (Records{{"a b", "\tc "}})) << "blanks belong to fields";
    EXPECT_EQ(read("a;\"b;c\"\n", piece, ';'), (Records{{"a", "b;c'"}}));
  }
}

TEST(Csv, ErrorsNameLineAndColumnAndReadingGoesOn) {
  for (size_t piece : {size_t{1}, size_t{4}, SIZE_MAX}) {
    EXPECT_EQ(read("a\nb,c\"d\ne\n", piece), (Records{{"a"}, {"!2:4"}, {"e"}}));
    EXPECT_EQ(read("\"x\ny\"z,1\nok\n", piece), (Records{{"!2:3"}, {"ok"}}));
    EXPECT_EQ(read("a\nb,\"c\nd\ne", piece), (Records{{"a"}, {"!2:3"}, {"d"}, {"e"}})) << "a quote that never closes";
  }
}

TEST(Csv, LinesAreCountedThroughQuotedNewlines) {
  CsvReader reader;
  std::string text = "a,\"1\n2\"\n\nb\n";
  ASSERT_EQ(reader.take(text.data(), text.size(), true), CsvReader::Found::record);
  EXPECT_EQ(reader.line(), 1U);
  EXPECT_EQ(reader.next_line(), 3U);
  const size_t first = reader.consumed();
  ASSERT_EQ(reader.take(text.data() + first, text.size() - first, true), CsvReader::Found::record);
  EXPECT_EQ(reader.line(), 4U);
}

TEST(Csv, RecordsAreBounded) {
  std::string text = "\"" + std::string(CsvReader::record_bytes_max + 10, 'x');
  CsvReader reader;
  EXPECT_EQ(reader.take(text.data(), text.size(), false), CsvReader::Found::bad);
  text = std::string(CsvReader::fields_max + 1, ',') + "\n";
  EXPECT_EQ(CsvReader().take(text.data(), text.size(), true), CsvReader::Found::bad);
}

TEST(Csv, WritesWhatItReads) {
  std::string out;
  append_csv("plain", ',', false, out);
  out += ',';
  append_csv("a,\"b\"\r\n", ',', false, out);
  out += ',';
  append_csv("", ',', true, out);
  EXPECT_EQ(out, "plain,\"a,\"\"b\"\"\r\n\",\"\"");
  EXPECT_EQ(read(out), (Records{{"plain", "a,\"b\"\r\n'", "'"}}));
}

}  // namespace
}  // namespace asterism
