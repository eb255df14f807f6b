#include "datastore/merge_results.h"

#include <algorithm>
#include <map>

namespace asterism::datastore {

constexpr size_t repair_bytes = 1 << 20;  // of one mutation, about

using Partition = ReadResult::Partition;
using StoredRow = ReadResult::StoredRow;

/// Cuts every answer back to what all cover; true where something is missing, and then `next` says from where.
static bool cut_to_common(const ReadCommand& command, std::vector<ReadResult>& answers, Bytes& next) {
  bool cut = false;
  for (const auto& answer : answers) {
    if (answer.complete) continue;
    if (!cut || (command.reversed ? answer.next > next : answer.next < next)) next = answer.next;
    cut = true;
  }
  if (!cut) return false;
  for (auto& answer : answers) {
    for (Partition& partition : answer.partitions) {
      Bytes prefix;
      if (!command.single) {
        prefix = partition_prefix(command.table, partition.token, partition.key);
        prefix.push_back(static_cast<char>(Place::row));
      }
      std::erase_if(partition.rows, [&](const StoredRow& row) {
        const Bytes at = prefix + row.clustering;
        return command.reversed ? at < next : at >= next;
      });
    }
    if (command.single) continue;
    std::erase_if(answer.partitions, [&](const Partition& partition) {
      return partition_prefix(command.table, partition.token, partition.key) >= next;
    });
  }
  return true;
}

/// Merges the versions of one value; versions that are absent are null.
static Status merge_place(BytesView key, const std::vector<const Bytes*>& versions, Bytes& merged) {
  std::vector<BytesView> views;
  bool equal = true;
  for (const Bytes* version : versions) {
    if (version == nullptr || version->empty()) continue;
    equal &= views.empty() || views.front() == *version;
    views.push_back(*version);
  }
  if (views.empty()) return {};
  if (equal) {
    merged = Bytes(views.front());
    return {};
  }
  return merge_versions(key, views, merged);
}

namespace {

/// Merges one partition that some of the answers have.
class PartitionMerger {
 public:
  PartitionMerger(const ReadCommand& command, std::vector<const Partition*> versions, MergedResults& out)
      : command_(command), versions_(std::move(versions)), out_(out) {
    const Partition& any = **std::ranges::find_if(versions_, [](auto* version) { return version != nullptr; });
    merged_.token = any.token;
    merged_.key = any.key;
    prefix_ = partition_prefix(command.table, any.token, any.key);
    repairs_.resize(versions_.size());
  }

  Status run() {
    TRY_STATUS(merge_part(Place::head, &Partition::head));
    TRY_STATUS(merge_part(Place::static_row, &Partition::static_row));
    TRY_STATUS(merge_rows_of_all());
    for (size_t i = 0; i < versions_.size(); ++i)
      if (repairs_[i]) out_.repairs[i].push_back(std::move(*repairs_[i]).take());
    out_.merged.partitions.push_back(std::move(merged_));
    return {};
  }

 private:
  Bytes key_of(Place place, BytesView clustering) const {
    Bytes key = prefix_;
    key.push_back(static_cast<char>(place));
    key.append(clustering);
    return key;
  }
  void compare(size_t i, const Bytes* version, Place place, BytesView clustering, const Bytes& merged) {
    if (merged.empty() || (version != nullptr && *version == merged)) return;
    if (!repairs_[i]) repairs_[i].emplace(command_.table, merged_.token, merged_.key);
    repairs_[i]->add(place, clustering, merged);
    if (repairs_[i]->encoded().size() >= repair_bytes) {
      out_.repairs[i].push_back(std::move(*repairs_[i]).take());
      repairs_[i].reset();
    }
  }
  Status merge_part(Place place, Bytes Partition::* part) {
    std::vector<const Bytes*> values;
    for (const Partition* version : versions_) values.push_back(version ? &(version->*part) : nullptr);
    TRY_STATUS(merge_place(key_of(place, {}), values, merged_.*part));
    for (size_t i = 0; i < values.size(); ++i) compare(i, values[i], place, {}, merged_.*part);
    return {};
  }
  Status merge_rows_of_all() {
    std::map<BytesView, std::vector<const Bytes*>> rows;
    for (size_t i = 0; i < versions_.size(); ++i) {
      if (versions_[i] == nullptr) continue;
      for (const StoredRow& row : versions_[i]->rows) {
        auto& versions = rows[row.clustering];
        versions.resize(versions_.size());
        versions[i] = &row.row;
      }
    }
    for (const auto& [clustering, versions] : rows) {
      StoredRow row{Bytes(clustering), {}};
      TRY_STATUS(merge_place(key_of(Place::row, clustering), versions, row.row));
      for (size_t i = 0; i < versions.size(); ++i) compare(i, versions[i], Place::row, clustering, row.row);
      merged_.rows.push_back(std::move(row));
    }
    if (command_.reversed) std::ranges::reverse(merged_.rows);
    return {};
  }

  const ReadCommand& command_;
  std::vector<const Partition*> versions_;
  MergedResults& out_;
  Bytes prefix_;
  Partition merged_;
  std::vector<std::optional<Mutation>> repairs_;
};

}  // namespace

Result<MergedResults> merge_results(const ReadCommand& command, std::vector<ReadResult> answers) {
  MergedResults out;
  out.repairs.resize(answers.size());
  out.merged.complete = !cut_to_common(command, answers, out.merged.next);
  std::map<std::pair<int64_t, BytesView>, std::vector<const Partition*>> partitions;
  for (size_t i = 0; i < answers.size(); ++i)
    for (const Partition& partition : answers[i].partitions) {
      auto& versions = partitions[{partition.token, partition.key}];
      versions.resize(answers.size());
      versions[i] = &partition;
    }
  for (auto& [place, versions] : partitions) TRY_STATUS(PartitionMerger(command, versions, out).run());
  // The store orders partitions of one token by the length of their keys first.
  std::ranges::sort(out.merged.partitions, {}, [](const Partition& partition) {
    return std::tuple(partition.token, partition.key.size(), BytesView(partition.key));
  });
  return out;
}

}  // namespace asterism::datastore
