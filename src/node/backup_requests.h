// Requests over HTTP of the commands that make, list, delete and restore snapshots:
//
//   POST /snapshots/create, /snapshots/list, /snapshots/delete   {"name"}: see Snapshots
//   POST /restore/schema   {}: {"schema", "applied", "datacenters"}: what there is, as Schema::snapshot() has it, in
//                          hexadecimal digits; how much of the metadata log that is; how many nodes each datacenter has
//   POST /restore/create   a command of Schema that makes a keyspace or a table; its outcome is an error where there is
//                          one of that name
//   POST /restore/rows?consistency=QUORUM&applied=N   by a node that knows so much of the metadata: mutations
//   (datastore/mutation.h), each behind its length (varint): written
//                          as they are, with their timestamps. Any part of them may have been written where it fails
//
// All of them are for those who may read the node's folder: the header Asterism-Secret holds what is in node.secret.
// Statuses: 400 malformed, 403 not allowed, 409 it can never succeed, 429 and 503 another attempt may.
#pragma once

#include "gateway/http.h"
#include "node/node.h"

namespace asterism {

/// Used by one core. What it is given must outlive it.
class BackupRequests {
 public:
  static constexpr const char* secret_header = "Asterism-Secret";
  static constexpr const char* rows_target = "/restore/rows";
  /// Of one request for rows.
  static constexpr size_t rows_bytes_max = 20 << 20;

  BackupRequests(Node& node, Executor& executor, NodeHost& host) : node_(node), executor_(executor), host_(host) {}
  void add_routes(HttpRouter& router);

 private:
  struct Group;
  using Answer = Task<Result<HttpResponse>>;
  void add(HttpRouter& router, const char* path, Answer (BackupRequests::*serve)(HttpRequest),
           std::optional<Duration> limit = {});
  bool may(const HttpRequest& request) const;
  Answer create_snapshot(HttpRequest request);
  Answer list_snapshots(HttpRequest request);
  Answer delete_snapshot(HttpRequest request);
  Answer tell_schema(HttpRequest request);
  Answer create(HttpRequest request);
  Answer write_rows(HttpRequest request);
  Task<Result<std::vector<Group>>> group(BytesView body);
  void audit(const HttpRequest& request, const std::string& what, const Status& outcome) const;

  Node& node_;
  Executor& executor_;
  NodeHost& host_;
};

}  // namespace asterism
