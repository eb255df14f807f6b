// What a Raft group of registers replicates.
#pragma once

#include <map>
#include <string>

#include "raft/host.h"

namespace asterism::simulation {

/// The groups of registers are numbered from here on, far from the shards of tables.
inline constexpr uint64_t first_register_group = 1'000'000;

/// A command writes a register, or does so only where it holds what is expected. The outcome is what it held before.
/// Registers hold "" at first.
class RegisterMachine final : public raft::StateMachine {
 public:
  static Bytes encode(BytesView key, BytesView value, const std::optional<std::string>& expected);

  Result<Bytes> apply(raft::LogIndex index, BytesView payload) override;
  Bytes snapshot() const override;
  Status restore(BytesView snapshot) override;
  Bytes get(const std::string& key) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace asterism::simulation
