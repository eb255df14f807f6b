#include "cli/import_progress.h"

#include <boost/json.hpp>

#include "base/assert.h"

namespace asterism {
namespace {

uint64_t number_in(const boost::json::object& object, std::string_view name, bool& ok) {
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  ok &= value != nullptr && value->is_int64() && value->get_int64() >= 0;
  return ok ? static_cast<uint64_t>(value->get_int64()) : 0;
}

std::string text_in(const boost::json::value* value, bool& ok) {
  ok &= value != nullptr && value->is_string();
  return ok ? std::string(value->get_string().data(), value->get_string().size()) : std::string();
}

}  // namespace

std::string ImportRecord::to_text() const {
  boost::json::array names;
  for (const std::string& column : columns) names.emplace_back(column);
  return boost::json::serialize(boost::json::object{{"version", 1},
                                                    {"settings", settings},
                                                    {"columns", std::move(names)},
                                                    {"timestamp_us", timestamp_us},
                                                    {"offset", position.offset},
                                                    {"line", position.line},
                                                    {"rows", position.rows},
                                                    {"rejected", position.rejected},
                                                    {"rejects_bytes", position.rejects_bytes},
                                                    {"begin", begin},
                                                    {"begin_bytes", begin_bytes}}) +
         "\n";
}

Result<ImportRecord> ImportRecord::parse(BytesView text) {
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse({text.data(), text.size()}, bad);
  const boost::json::object* object = value.if_object();
  if (bad || !object) return fail(ErrorCode::corrupt, "it is no JSON object");
  ImportRecord record;
  bool ok = true;
  const uint64_t version = number_in(*object, "version", ok);
  record.settings = text_in(object->if_contains("settings"), ok);
  record.begin = text_in(object->if_contains("begin"), ok);
  record.begin_bytes = number_in(*object, "begin_bytes", ok);
  record.timestamp_us = static_cast<int64_t>(number_in(*object, "timestamp_us", ok));
  record.position.offset = number_in(*object, "offset", ok);
  record.position.line = number_in(*object, "line", ok);
  record.position.rows = number_in(*object, "rows", ok);
  record.position.rejected = number_in(*object, "rejected", ok);
  record.position.rejects_bytes = number_in(*object, "rejects_bytes", ok);
  const boost::json::value* columns = object->if_contains("columns");
  ok &= columns != nullptr && columns->is_array();
  if (ok)
    for (const boost::json::value& column : columns->get_array()) record.columns.push_back(text_in(&column, ok));
  if (!ok || version != 1) return fail(ErrorCode::corrupt, "its members are not those of an import's progress");
  return record;
}

void ImportTracker::close(uint64_t offset, uint64_t line) {
  Stretch& open = stretches_.back();
  open.closed = true;
  open.offset = offset;
  open.line = line;
  stretches_.emplace_back();
}

void ImportTracker::acknowledge(uint64_t stretch, uint32_t rows) {
  ASSERT(stretch >= first_ && stretch - first_ < stretches_.size());
  Stretch& of = stretches_[stretch - first_];
  ASSERT(of.waiting >= rows);
  of.waiting -= rows;
}

std::string ImportTracker::advance() {
  std::string rejects;
  while (stretches_.front().closed && stretches_.front().waiting == 0) {
    const Stretch& done = stretches_.front();
    done_.offset = done.offset;
    done_.line = done.line;
    done_.rows += done.rows;
    done_.rejected += done.rejected;
    done_.rejects_bytes += done.rejects.size();
    rejects += done.rejects;
    stretches_.pop_front();
    ++first_;
  }
  return rejects;
}

}  // namespace asterism
