// The RPC methods of this layer (900–999).
#pragma once

#include "cluster/rpc.h"

namespace asterism::rpc_method {

/// Answers Node::load() as JSON text.
inline constexpr RpcMethod node_load = 900;

}  // namespace asterism::rpc_method
