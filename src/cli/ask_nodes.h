// Asking the running nodes of a cluster on this machine over HTTP.
#pragma once

#include <boost/json/object.hpp>

#include "base/time.h"
#include "cli/cluster_folder.h"
#include "gateway/http_client.h"
#include "runtime/real/core.h"
#include "runtime/task_group.h"

namespace asterism {

struct NodeAnswer {
  NodeConfig config;
  std::optional<ProcessName> process;
  /// What GET /status said, or why there is no answer.
  Result<boost::json::object> status;
};

/// Asks all these nodes at once for their status, each for a second at most, while the core runs.
class StatusQuestion {
 public:
  StatusQuestion(RealCore& core, std::vector<NodeConfig> configs);
  StatusQuestion(const StatusQuestion&) = delete;
  ~StatusQuestion();
  bool done() const { return tasks_.size() == 0; }
  /// In the order of the nodes; those that have not answered yet have an error.
  const std::vector<NodeAnswer>& answers() const { return answers_; }

 private:
  std::vector<NodeAnswer> answers_;
  std::vector<std::unique_ptr<Network>> networks_;
  TaskGroup tasks_;
};

/// The nodes in the folder. Errors: not_found where it holds no cluster; what read_cluster() says.
Result<std::vector<NodeConfig>> nodes_of_cluster(const std::string& data);
/// Asks all nodes in the folder at once, each for a second at most. Errors: not_found where the folder holds no
/// cluster; what read_cluster() says.
Result<std::vector<NodeAnswer>> ask_status(const std::string& data);

/// up: it serves clients. draining, drained: it gets or is ready to be stopped. starting: it answers, and does not
/// serve yet. joining, leaving: it is the subject of the change of members that is under way. left: it is no member any
/// more. down: it does not answer.
const char* state_word(const NodeAnswer& answer, const boost::json::object* fresh);

/// One call to one node, whose address the call need not have; with TLS where the node has it. Any status is a success.
/// Errors: those of http_call().
Result<HttpResponse> call_node(const NodeConfig& config, HttpCall call);
/// As call_node(), and the object that it answers with. Errors: likewise; corrupt where the answer is no JSON object;
/// internal with what the node said where its status is not 200; already_exists with its words alone where it is 409.
Result<boost::json::object> ask_node(const NodeConfig& config, HttpCall call);
/// As ask_node() with POST.
Result<boost::json::object> post_to_node(const NodeConfig& config, const std::string& target, Duration limit,
                                         const std::string& body = "");

/// As post_to_node(), to one serving node of the folder after the other until one decides: that it is done, or with
/// already_exists that it is refused. Errors: that one; unavailable where none serves; what the last one said.
Status post_to_cluster(const std::string& data, const std::string& target, const boost::json::object& body);

/// The change of members that is under way as the freshest node tells it, with `moved_mib_s`: what all nodes together
/// fetch and send for it now. Nothing where there is none.
std::optional<boost::json::object> change_under_way(const std::vector<NodeAnswer>& answers);

/// The status of the node that has applied most of the metadata log; null where none answers.
const boost::json::object* freshest(const std::vector<NodeAnswer>& answers);

/// The member where it is there and a string, else "". Control characters are left out, because it is printed.
std::string text_member(const boost::json::object& object, std::string_view name);
/// The member where it is there and an integer, else 0.
int64_t integer_member(const boost::json::object& object, std::string_view name);
/// The member where it is there and an array, else an empty one.
const boost::json::array& array_member(const boost::json::object& object, std::string_view name);
/// The member at "a.b", or null.
const boost::json::value* find_member(const boost::json::object& object, std::string_view path);

}  // namespace asterism
