// The RPC methods of this layer (1–99).
#pragma once

#include "cluster/rpc.h"

namespace asterism::rpc_method {

inline constexpr RpcMethod ping = 1;
inline constexpr RpcMethod raft = 2;  // one way: a batch of Raft messages
inline constexpr RpcMethod metadata_propose = 3;
inline constexpr RpcMethod metadata_wait = 4;  // answers once the index in the payload (varint) is applied

}  // namespace asterism::rpc_method
