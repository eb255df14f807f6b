#include "storage/rocksdb_adapters.h"

#include <rocksdb/cache.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include "storage/memtable.h"

namespace asterism {

namespace {

/// RocksDB's own chatter goes nowhere: what matters comes back as errors.
class SilentLogger final : public rocksdb::Logger {
 public:
  SilentLogger() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

/// After a failed flush or compaction RocksDB would try again from threads of its own. What to do is the owner's to
/// say, and such threads follow no virtual time.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status error, bool* automatic) override {
    error.PermitUncheckedError();
    *automatic = false;
  }
};

class FunctionMerge final : public rocksdb::MergeOperator {
 public:
  explicit FunctionMerge(MergeFunction function) : function_(std::move(function)) {}
  const char* Name() const override { return "asterism.merge"; }
  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    if (in.existing_value == nullptr && in.operand_list.size() == 1) {
      out->existing_operand = in.operand_list[0];
      return true;
    }
    std::vector<BytesView> operands;
    operands.reserve(in.operand_list.size());
    for (const auto& operand : in.operand_list) operands.push_back(view(operand));
    std::optional<BytesView> existing;
    if (in.existing_value != nullptr) existing = view(*in.existing_value);
    // RocksDB's string may still hold the outcome for another key.
    Bytes merged;
    if (!function_(view(in.key), existing, operands, merged)) return false;
    out->new_value = std::move(merged);
    return true;
  }
  bool PartialMergeMulti(const rocksdb::Slice& key, const std::deque<rocksdb::Slice>& list, std::string* out,
                         rocksdb::Logger*) const override {
    std::vector<BytesView> operands;
    operands.reserve(list.size());
    for (const auto& operand : list) operands.push_back(view(operand));
    Bytes merged;
    if (!function_(view(key), std::nullopt, operands, merged)) return false;
    *out = std::move(merged);
    return true;
  }

 private:
  MergeFunction function_;
};

ErrorCode code_of(const rocksdb::Status& status) {
  if (status.IsNoSpace()) return ErrorCode::no_space;
  switch (status.code()) {
    case rocksdb::Status::kCorruption:
      return ErrorCode::corrupt;
    case rocksdb::Status::kIncomplete:
    case rocksdb::Status::kBusy:
    case rocksdb::Status::kTryAgain:
      return ErrorCode::overloaded;
    case rocksdb::Status::kNotFound:
      return ErrorCode::not_found;
    case rocksdb::Status::kInvalidArgument:
      return ErrorCode::invalid_argument;
    case rocksdb::Status::kNotSupported:
      return ErrorCode::unsupported;
    case rocksdb::Status::kShutdownInProgress:
      return ErrorCode::closed;
    case rocksdb::Status::kIOError:
      return ErrorCode::io;
    default:
      return ErrorCode::internal;
  }
}

}  // namespace

std::unexpected<Error> to_error(const rocksdb::Status& status, const std::string& path) {
  return fail(code_of(status), "store {}: {}", path, status.ToString());
}

Bytes encode_position(Position position) {
  Bytes out;
  ByteWriter(out).u64_le(position.value);
  return out;
}

Result<Position> decode_position(BytesView bytes) {
  ByteReader reader(bytes);
  const Position position{reader.u64_le()};
  if (reader.failed() || !reader.at_end()) return fail(ErrorCode::corrupt, "the stored position is malformed");
  return position;
}

std::shared_ptr<rocksdb::MergeOperator> make_merge_operator(MergeFunction function) {
  return function ? std::make_shared<FunctionMerge>(std::move(function)) : nullptr;
}

rocksdb::Options make_options(rocksdb::Env* env, const KeyValueStore::Options& options, MemtableReuse& reuse) {
  rocksdb::Options out;
  out.env = env;
  out.create_if_missing = true;
  out.paranoid_checks = true;
  out.info_log = std::make_shared<SilentLogger>();
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  out.max_background_jobs = 2;
  out.max_open_files = static_cast<int>(options.max_open_files);
  out.avoid_flush_during_shutdown = true;
  out.max_manifest_file_size = 4u << 20;
  out.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();

  // The owner flushes at memtable_bytes and is refused at three times that; RocksDB itself would flush only later.
  out.write_buffer_size = options.memtable_bytes * 8;
  out.arena_block_size = 64u << 10;
  out.memtable_factory = make_memtable_factory(reuse, options.supersedes);
  out.allow_concurrent_memtable_write = false;
  out.flush_verify_memtable_count = false;  // versions that newer ones replaced are not there any more
  out.max_write_buffer_number = 4;
  // Nothing goes on by itself after an error: the owner gives the store up.
  out.max_bgerror_resume_count = 0;
  out.listeners.push_back(std::make_shared<NoRecovery>());
  out.max_write_buffer_size_to_maintain = 0;
  out.disable_auto_compactions = !options.background_compaction;
  if (!options.background_compaction) {
    out.level0_slowdown_writes_trigger = out.level0_stop_writes_trigger = 1 << 20;
    out.soft_pending_compaction_bytes_limit = out.hard_pending_compaction_bytes_limit = 0;
  }
  // What soon is written again is not worth compressing, and more of it at once is less of what is there already.
  out.compression_per_level = {rocksdb::kNoCompression, rocksdb::kNoCompression, rocksdb::kLZ4Compression};
  out.level0_file_num_compaction_trigger = 8;
  out.bytes_per_sync = 512u << 10;  // else a file of many MiB goes to the disk at once, and the log waits for it
  out.merge_operator = make_merge_operator(options.merge);

  rocksdb::BlockBasedTableOptions table;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, 2);
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(options.bloom_bits_per_key));
  table.whole_key_filtering = true;
  table.format_version = 5;
  table.block_size = 8u << 10;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

}  // namespace asterism
