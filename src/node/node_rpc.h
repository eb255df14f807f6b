// The RPC methods of this layer (900–999).
#pragma once

#include "cluster/rpc.h"

namespace asterism::rpc_method {

/// Answers Node::load() as JSON text.
inline constexpr RpcMethod node_load = 900;
/// Answers "yes" where the node has the key of the authority that signs nodes, else nothing.
inline constexpr RpcMethod node_signs = 901;
/// Answers for how many milliseconds (u64, little-endian) the node has seen all members up.
inline constexpr RpcMethod node_steady = 902;
/// One byte: 0 where the caller is about to stop serving clients, 1 where it serves them.
inline constexpr RpcMethod node_departure = 903;
/// What a node does of a snapshot, asked and answered in JSON (snapshots.h): take, keep, drop, list.
inline constexpr RpcMethod node_snapshot = 904;

}  // namespace asterism::rpc_method
