#include "node/snapshot_manifest.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/hash.h"

namespace asterism {

namespace {

constexpr std::string_view checksum_word = "xxh3 ";
constexpr size_t name_bytes_max = 64;

bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && is_plain(name.front()) && name.find('/') == std::string_view::npos;
}

/// Reads members and remembers whether all were there.
class Members {
 public:
  explicit Members(const boost::json::object& object) : object_(object) {}
  bool ok() const { return ok_; }

  std::string text(const char* name) {
    const boost::json::value* value = object_.if_contains(name);
    ok_ &= value != nullptr && value->is_string();
    return ok_ ? std::string(value->get_string()) : std::string();
  }
  uint64_t number(const char* name) {
    const boost::json::value* value = object_.if_contains(name);
    ok_ &= value != nullptr && value->is_int64() && value->get_int64() >= 0;
    return ok_ ? static_cast<uint64_t>(value->get_int64()) : 0;
  }
  const boost::json::array& array(const char* name) {
    static const boost::json::array none;
    const boost::json::value* value = object_.if_contains(name);
    ok_ &= value != nullptr && value->is_array();
    return ok_ ? value->get_array() : none;
  }

 private:
  const boost::json::object& object_;
  bool ok_ = true;
};

}  // namespace

bool is_snapshot_name(std::string_view name) {
  if (name.empty() || name.size() > name_bytes_max || !is_plain(name.front())) return false;
  return std::ranges::all_of(name, [](char c) { return is_plain(c) || c == '.' || c == '_' || c == '-'; });
}

std::string snapshot_checksum(BytesView bytes) { return fmt::format("{:016x}", xxh3(bytes)); }

uint64_t SnapshotManifest::bytes() const {
  uint64_t sum = schema_bytes;
  for (const auto& file : files) sum += file.bytes;
  return sum;
}

std::string SnapshotManifest::to_text() const {
  boost::json::array members, store;
  for (const std::string& each : nodes) members.emplace_back(each);
  for (const auto& file : files)
    store.push_back({{"name", file.name}, {"bytes", static_cast<int64_t>(file.bytes)}, {"crc32c", file.crc32c}});
  const std::string line =
      boost::json::serialize(boost::json::object{{"format", format},
                                                 {"name", name},
                                                 {"id", id},
                                                 {"cluster", cluster},
                                                 {"node", node},
                                                 {"taken_us", taken_us},
                                                 {"applied", static_cast<int64_t>(applied)},
                                                 {"nodes", std::move(members)},
                                                 {"schema_bytes", static_cast<int64_t>(schema_bytes)},
                                                 {"schema_xxh3", schema_xxh3},
                                                 {"store", std::move(store)}});
  return fmt::format("{}\n{}{}\n", line, checksum_word, snapshot_checksum(line));
}

Result<SnapshotManifest> SnapshotManifest::parse(BytesView text) {
  const size_t end = text.find('\n');
  const BytesView line = text.substr(0, end);
  if (end == BytesView::npos || text.substr(end + 1) != fmt::format("{}{}\n", checksum_word, snapshot_checksum(line)))
    return fail(ErrorCode::corrupt, "its bytes do not match its checksum");
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse({line.data(), line.size()}, bad);
  const boost::json::object* object = value.if_object();
  if (bad || object == nullptr) return fail(ErrorCode::corrupt, "it is no JSON object");
  Members in(*object);
  if (const uint64_t written = in.number("format"); in.ok() && written != format)
    return fail(ErrorCode::unsupported, "it has format {}, and this asterism reads format {}", written, format);
  SnapshotManifest out;
  out.name = in.text("name");
  out.id = in.text("id");
  out.cluster = in.text("cluster");
  out.node = in.text("node");
  out.taken_us = static_cast<int64_t>(in.number("taken_us"));
  out.applied = in.number("applied");
  out.schema_bytes = in.number("schema_bytes");
  out.schema_xxh3 = in.text("schema_xxh3");
  bool ok = true;
  for (const boost::json::value& each : in.array("nodes")) {
    ok &= each.is_string();
    if (ok) out.nodes.emplace_back(each.get_string());
  }
  for (const boost::json::value& each : in.array("store")) {
    if (!each.is_object()) return fail(ErrorCode::corrupt, "it names no files");
    Members file(each.get_object());
    KeyValueStore::CopiedFile read{file.text("name"), file.number("bytes"), file.text("crc32c")};
    ok &= file.ok() && is_file_name(read.name);
    out.files.push_back(std::move(read));
  }
  if (!in.ok() || !ok) return fail(ErrorCode::corrupt, "its members are not those of a manifest");
  return out;
}

}  // namespace asterism
