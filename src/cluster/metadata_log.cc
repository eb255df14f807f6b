#include "cluster/metadata_log.h"

#include "base/assert.h"
#include "cluster/metadata.pb.h"

namespace asterism {

void MetadataState::add_section(const std::string& name, MetadataSection& section) {
  ASSERT(!sections_.contains(name));
  sections_[name] = &section;
}

Result<Bytes> MetadataState::apply(uint64_t index, BytesView record) {
  if (guard_) TRY_STATUS(guard_());
  applied_ = index;
  meta::Record parsed;
  Result<Bytes> outcome = fail(ErrorCode::corrupt, "malformed metadata record");
  if (parsed.ParseFromArray(record.data(), static_cast<int>(record.size()))) {
    outcome = apply_one(index, parsed.section(), parsed.command());
    if (outcome && parsed.has_then()) (void)apply_one(index, parsed.then().section(), parsed.then().command());
  }
  changed();
  return outcome;
}

Result<Bytes> MetadataState::apply_one(uint64_t index, const std::string& section, BytesView command) {
  auto it = sections_.find(section);
  if (it == sections_.end()) return fail(ErrorCode::unsupported, "a metadata record of no section that is known here");
  return it->second->apply(index, command);
}

Bytes MetadataState::snapshot() const {
  // One that lacks what could not be applied must never be taken for one of the log's present place.
  ASSERT(!guard_ || guard_());
  meta::Snapshot out;
  out.set_index(applied_);
  for (const auto& [name, section] : sections_) (*out.mutable_sections())[name] = section->snapshot();
  return out.SerializeAsString();
}

Status MetadataState::restore(BytesView snapshot) {
  meta::Snapshot in;
  if (!in.ParseFromArray(snapshot.data(), static_cast<int>(snapshot.size())))
    return fail(ErrorCode::corrupt, "malformed metadata snapshot");
  for (const auto& [name, bytes] : in.sections()) {
    auto it = sections_.find(name);
    if (it == sections_.end()) return fail(ErrorCode::unsupported, "metadata section '{}' is not known here", name);
    TRY_STATUS(it->second->restore(bytes));
  }
  applied_ = in.index();
  changed();
  return {};
}

void MetadataState::changed() {
  for (auto& listener : listeners_) listener();
}

Bytes MetadataState::encode_record(const std::string& section, BytesView command) {
  meta::Record record;
  record.set_section(section);
  record.set_command(command.data(), command.size());
  return record.SerializeAsString();
}

Bytes MetadataState::encode_records(const std::string& section, BytesView command, const std::string& then_section,
                                    BytesView then_command) {
  meta::Record record;
  record.set_section(section);
  record.set_command(command.data(), command.size());
  record.mutable_then()->set_section(then_section);
  record.mutable_then()->set_command(then_command.data(), then_command.size());
  return record.SerializeAsString();
}

}  // namespace asterism
