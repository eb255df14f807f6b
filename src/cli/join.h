// Joining a cluster from another machine, with a token: asterism node start --join.
#pragma once

#include <string>

#include "base/result.h"

namespace asterism {

struct JoinOptions {
  std::string member;      // address of any member, and the port of its HTTP where that is not 7070
  std::string token_file;  // "-": standard input
  std::string name;        // made of the address where it is empty
  std::string address;     // where the node listens; from where the member is reached, where it is empty
  std::string data;        // its folder becomes <data>/<name>
  std::string rack, datacenter;
  bool insecure = false;
  bool json = false;
};

/// Makes this machine a node: nothing of the token leaves it before the member has shown a certificate of the authority
/// that the token names. Given again after it was interrupted, it goes on.
Status join_cluster(const JoinOptions& options);

}  // namespace asterism
