#include "datastore/cql/execute_test.h"

#include <algorithm>

namespace asterism::cql::testing {

using datastore::Mutation;
using datastore::MutationView;
using datastore::Place;
using datastore::ReadCommand;
using datastore::ReadPage;
using datastore::ReadResult;
using datastore::Served;

void MemoryTables::store(const Mutation& mutation) {
  auto view = MutationView::decode(mutation.encoded());
  ASSERT_TRUE(view.has_value()) << view.error().message;
  for (const auto& change : view->changes) {
    Bytes key = datastore::partition_prefix(view->table, view->token, view->partition_key);
    key.push_back(static_cast<char>(change.place));
    key += change.clustering;
    Bytes merged;
    std::vector<BytesView> versions{change.value};
    const Bytes old = values_[key];
    if (!old.empty()) versions.insert(versions.begin(), old);
    ASSERT_TRUE(datastore::merge_versions(key, versions, merged).has_value());
    values_[key] = merged;
  }
}

Task<Served<void>> MemoryTables::write(TablePtr, Mutation mutation, datastore::Consistency, Instant) {
  if (failure) co_return std::unexpected(*failure);
  store(mutation);
  co_return Served<void>();
}

Task<Served<void>> MemoryTables::write_all(std::vector<datastore::TableMutation> mutations, bool,
                                           datastore::Consistency, Instant) {
  if (failure) co_return std::unexpected(*failure);
  for (const auto& mutation : mutations) store(mutation.mutation);
  co_return Served<void>();
}

ReadResult MemoryTables::collect(const ReadCommand& command) const {
  ReadResult result;
  std::vector<std::pair<BytesView, BytesView>> wanted;
  Bytes from = command.from;
  Bytes to = command.to;
  if (command.single) {
    from = datastore::partition_prefix(command.table, command.token, command.partition_key);
    to = datastore::after_prefix(from);
  }
  for (auto it = values_.lower_bound(from); it != values_.end() && (to.empty() || it->first < to); ++it) {
    wanted.emplace_back(it->first, it->second);
  }
  if (command.reversed) std::ranges::reverse(wanted);
  const uint32_t limit = std::min(command.row_limit, most_rows);
  uint32_t taken = 0;
  uint32_t in_partition = 0;
  for (const auto& [key, value] : wanted) {
    const auto parts = *datastore::split_key(key);
    const bool same = !result.partitions.empty() && result.partitions.back().key == parts.partition_key;
    if (!same) {
      if (taken >= limit) {
        result.complete = false;
        result.next = Bytes(parts.prefix);
        return result;
      }
      auto& partition = result.partitions.emplace_back();
      partition.token = parts.token;
      partition.key = Bytes(parts.partition_key);
      in_partition = 0;
      for (Place place : {Place::head, Place::static_row}) {
        auto found = values_.find(Bytes(parts.prefix) + static_cast<char>(place));
        if (found == values_.end()) continue;
        (place == Place::head ? partition.head : partition.static_row) = found->second;
      }
    }
    if (parts.place != Place::row) continue;
    if (command.single && std::ranges::none_of(command.slices, [&](const Slice& slice) {
          return parts.clustering >= slice.from && (slice.to.empty() || parts.clustering < slice.to);
        })) {
      continue;
    }
    if (!command.single && in_partition >= command.per_partition_limit) continue;
    if (taken >= limit || in_partition >= command.per_partition_limit) {
      result.complete = false;
      result.next = Bytes(command.single ? parts.clustering : key);
      if (command.reversed) result.next.push_back('\0');
      return result;
    }
    result.partitions.back().rows.push_back({Bytes(parts.clustering), Bytes(value)});
    // Limits count live rows only.
    const auto& open = result.partitions.back();
    datastore::Row row;
    EXPECT_TRUE(datastore::decode_row(value, row).has_value());
    if (!open.head.empty()) row.hide(datastore::decode_head(open.head)->deletion_of(parts.clustering));
    if (!row.is_live(command.now_s)) continue;
    ++in_partition;
    ++taken;
  }
  return result;
}

Task<Served<ReadPage>> MemoryTables::read(TablePtr, ReadCommand command, datastore::Consistency, Instant) {
  if (failure) co_return std::unexpected(*failure);
  ++reads;
  co_return *datastore::live_page(collect(command).encode(), command.now_s);
}

Fixture::Fixture() {
  metadata_.add_section(datastore::Schema::section_name, schema_);
  metadata_.add_section(AccessState::section_name, access_);
  EXPECT_EQ(run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"),
            "applied");
}

Task<Result<Bytes>> Fixture::propose(Bytes record, Instant) { co_return metadata_.apply(++schema_index_, record); }

PlanPtr Fixture::plan(std::string_view text) {
  auto made = make_plan(text, keyspace_, executor_.catalog());
  EXPECT_TRUE(made.has_value()) << text << ": " << made.error().message;
  return made ? *made : nullptr;
}

Outcome Fixture::execute(PlanPtr planned, QueryOptions options) {
  clock_.us += 1000;
  return wait(executor_.execute(std::move(planned), std::move(options)));
}

std::string Fixture::print(const Plan& planned, Outcome& outcome, std::optional<Bytes>* paging_state) {
  if (auto* error = std::get_if<wire::ErrorResponse>(&outcome.body)) return "error: " + error->message;
  if (std::holds_alternative<wire::VoidResult>(outcome.body)) return "ok";
  if (std::holds_alternative<wire::SchemaChange>(outcome.body)) return "applied";
  if (auto* use = std::get_if<wire::SetKeyspace>(&outcome.body)) return "keyspace " + use->keyspace;
  const Bytes& envelope = std::get<RowsResult>(outcome.body).envelope;
  wire::EnvelopeHeader header;
  header.direction = wire::Direction::response;
  header.flags = static_cast<uint8_t>(envelope[1]);
  header.opcode = wire::Opcode::result;
  auto response = wire::decode_response(header, BytesView(envelope).substr(wire::envelope_header_size));
  EXPECT_TRUE(response.has_value()) << response.error().message;
  const auto& rows = std::get<wire::Rows>(response->message);
  if (paging_state) *paging_state = rows.metadata.paging_state;
  const auto& select = *std::get<std::shared_ptr<const SelectPlan>>(planned.body);
  wire::RowCursor cursor(rows);
  std::vector<std::optional<BytesView>> row;
  std::string text;
  while (cursor.next(row)) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += i > 0 ? "|" : "";
      text += row[i] ? datastore::to_display(select.selections[i].type, *row[i]) : "null";
    }
    text += "\n";
  }
  return text;
}

std::string Fixture::run(std::string_view text, QueryOptions options) {
  auto made = make_plan(text, keyspace_, executor_.catalog());
  if (!made) return "error: " + made.error().message;
  Outcome outcome = execute(*made, std::move(options));
  return print(**made, outcome);
}

wire::ErrorResponse Fixture::error_of(std::string_view text, QueryOptions options) {
  auto made = make_plan(text, keyspace_, executor_.catalog());
  if (!made) return made.error();
  Outcome outcome = execute(*made, std::move(options));
  auto* error = std::get_if<wire::ErrorResponse>(&outcome.body);
  EXPECT_NE(error, nullptr) << text;
  return error ? *error : wire::ErrorResponse();
}

std::string Fixture::run_paged(std::string_view text, int32_t page_size, int* pages) {
  PlanPtr planned = plan(text);
  std::string all;
  std::optional<Bytes> state;
  for (int page = 1; page < 10'000; ++page) {
    QueryOptions options;
    options.page_size = page_size;
    if (state) options.paging_state = *state;
    Outcome outcome = execute(planned, std::move(options));
    std::optional<Bytes> next;
    const std::string rows = print(*planned, outcome, &next);
    EXPECT_LE(std::ranges::count(rows, '\n'), page_size);
    all += rows;
    if (pages) *pages = page;
    if (!next) return all;
    state = std::move(next);
  }
  return "endless";
}

}  // namespace asterism::cql::testing
