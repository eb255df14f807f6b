#include "cluster/metadata_service.h"
#include "datastore/cql/execute.h"

namespace asterism::cql {

namespace {

class MetadataSchemaChanges final : public SchemaChanges {
 public:
  explicit MetadataSchemaChanges(MetadataService& metadata) : metadata_(metadata) {}
  Task<Result<Bytes>> propose(Bytes record, Instant deadline) override {
    return metadata_.propose_record(std::move(record), deadline);
  }

 private:
  MetadataService& metadata_;
};

}  // namespace

std::unique_ptr<SchemaChanges> make_schema_changes(MetadataService& metadata) {
  return std::make_unique<MetadataSchemaChanges>(metadata);
}

}  // namespace asterism::cql
