#include "node/snapshot_manifest.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

SnapshotManifest example() {
  SnapshotManifest manifest;
  manifest.name = "monday";
  manifest.id = "0123456789abcdef";
  manifest.cluster = "asterism";
  manifest.node = "n1";
  manifest.taken_us = 1'795'410'651'791'609;
  manifest.applied = 17;
  manifest.nodes = {"n1", "n2"};
  manifest.schema_bytes = 5;
  manifest.schema_xxh3 = snapshot_checksum("bytes");
  manifest.files = {{"000008.sst", 3'600'544, "e63b9365"}, {"CURRENT", 16, "9e7fdadc"}};
  return manifest;
}

TEST(SnapshotManifest, IsReadAsItWasWritten) {
  const SnapshotManifest manifest = example();
  const auto read = SnapshotManifest::parse(manifest.to_text());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->to_text(), manifest.to_text());
  EXPECT_EQ(read->files.at(1).name, "CURRENT");
  EXPECT_EQ(read->bytes(), 3'600'565u);
}

TEST(SnapshotManifest, AnyChangedOrMissingByteIsSeen) {
  const std::string text = example().to_text();
  for (size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_FALSE(SnapshotManifest::parse(damaged)) << at;
    EXPECT_FALSE(SnapshotManifest::parse(text.substr(0, at))) << at;
  }
}

/// Whoever can write a manifest can write its checksum.
std::string sealed(std::string line) {
  const std::string checksum = snapshot_checksum(line);
  return std::move(line) + "\nxxh3 " + checksum + "\n";
}

TEST(SnapshotManifest, NamesNoFileElsewhereAndNoOtherFormat) {
  const std::string text = example().to_text(), line = text.substr(0, text.find('\n'));
  EXPECT_TRUE(SnapshotManifest::parse(sealed(line)));
  for (const std::string name : {"../CURRENT", "/etc/passwd", "", ".", "a/b"}) {
    std::string other = line;
    other.replace(other.find("CURRENT"), 7, name);
    EXPECT_FALSE(SnapshotManifest::parse(sealed(other))) << name;
  }
  std::string newer = line;
  newer.replace(newer.find("\"format\":1"), 10, "\"format\":2");
  EXPECT_EQ(SnapshotManifest::parse(sealed(newer)).error().code, ErrorCode::unsupported);
  for (const std::string garbage : {"", "{}", "[]", "{\"format\":1}", "null", "{\"format\":1,\"store\":[1]}"})
    EXPECT_FALSE(SnapshotManifest::parse(sealed(garbage))) << garbage;
}

TEST(SnapshotManifest, NamesArePlain) {
  for (const char* name : {"a", "monday", "2026-11-23", "A.b_c-9"}) EXPECT_TRUE(is_snapshot_name(name)) << name;
  for (const std::string name : {"", ".", "..", "-x", ".x", "a/b", "../x", "a b", "ü", "a\n"})
    EXPECT_FALSE(is_snapshot_name(name)) << name;
  EXPECT_TRUE(is_snapshot_name(std::string(64, 'x')));
  EXPECT_FALSE(is_snapshot_name(std::string(65, 'x')));
}

}  // namespace
}  // namespace asterism
