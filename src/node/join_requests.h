// Requests over HTTP of machines that join with a token, and of the command that makes tokens:
//
//   GET  /join/authority   {"cluster", "authority"}: who signs nodes, in PEM; "" where nodes speak plainly. Nothing
//   secret POST /join/settings    what a machine needs to be a node, and its certificate, against the token POST
//   /join/begin       has that node join, as POST /members/add does POST /tokens/add, /tokens/list, /tokens/drop   of
//   whoever reads the node's own folder
//
// Bodies are JSON objects. A token is checked in the same time whether it exists or not, not too often for one address,
// and every attempt is audited.
#pragma once

#include <map>

#include "base/token_bucket.h"
#include "gateway/http.h"
#include "node/node.h"

namespace asterism {

/// Used by one core. What it is given must outlive it.
class JoinRequests {
 public:
  /// How often one address may try a token.
  static constexpr double tries_rate = 1, tries_burst = 10;
  static constexpr size_t addresses_max = 1024;

  JoinRequests(Node& node, Executor& executor, const Clock& clock, NodeHost& host);

  /// For machines that join. Each body is small.
  void add_routes(HttpRouter& router);
  /// For commands on this machine.
  void add_token_routes(HttpRouter& router);

 private:
  struct Joiner;
  Task<HttpResponse> authority(HttpRequest request);
  Task<HttpResponse> settings(HttpRequest request);
  Task<HttpResponse> begin(HttpRequest request);
  Task<HttpResponse> change_tokens(HttpRequest request, const char* what);

  bool may_try(const std::string& host);
  /// What both requests of a machine begin with. Errors: corrupt, overloaded, unauthorized.
  Result<Joiner> admit(const HttpRequest& request);
  Task<Result<HttpResponse>> give_settings(Joiner joiner);
  Task<Status> begin_joining(Joiner joiner);
  /// Where this node does not have the authority's key: words that say which one does. Errors: invalid_argument.
  Task<Status> check_can_sign();
  Result<std::string> token_list() const;

  Node& node_;
  Executor& executor_;
  const Clock& clock_;
  NodeHost& host_;
  std::map<std::string, TokenBucket> tries_;  // by address
};

}  // namespace asterism
