#include "cluster/metadata_log.h"

#include "base/assert.h"
#include "cluster/metadata.pb.h"

namespace asterism {

void MetadataState::add_section(const std::string& name, MetadataSection& section) {
  ASSERT(!sections_.contains(name));
  sections_[name] = &section;
}

Result<Bytes> MetadataState::apply(uint64_t index, BytesView record) {
  applied_ = index;
  meta::Record parsed;
  Result<Bytes> outcome = fail(ErrorCode::unsupported, "a metadata record of no section that is known here");
  if (parsed.ParseFromArray(record.data(), static_cast<int>(record.size())))
    if (auto it = sections_.find(parsed.section()); it != sections_.end())
      outcome = it->second->apply(index, parsed.command());
  changed();
  return outcome;
}

Bytes MetadataState::snapshot() const {
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

}  // namespace asterism
