#include "node/simulation/register_machine.h"

namespace asterism::simulation {

Bytes RegisterMachine::encode(BytesView key, BytesView value, const std::optional<std::string>& expected) {
  Bytes command;
  ByteWriter out(command);
  out.sized(key);
  out.sized(value);
  out.u8(expected ? 1 : 0);
  if (expected) out.sized(*expected);
  return command;
}

Result<Bytes> RegisterMachine::apply(raft::LogIndex, BytesView payload) {
  ByteReader in(payload);
  const std::string key(in.sized());
  const std::string value(in.sized());
  const bool compare = in.u8() != 0;
  const BytesView expected = compare ? in.sized() : BytesView();
  if (in.failed()) return fail(ErrorCode::corrupt, "a command of registers is malformed");
  Bytes before = get(key);
  if (!compare || before == expected) values_[key] = value;
  return before;
}

Bytes RegisterMachine::snapshot() const {
  Bytes bytes;
  ByteWriter out(bytes);
  for (const auto& [key, value] : values_) {
    out.sized(key);
    out.sized(value);
  }
  return bytes;
}

Status RegisterMachine::restore(BytesView snapshot) {
  values_.clear();
  for (ByteReader in(snapshot); !in.at_end();) {
    const std::string key(in.sized());
    values_[key] = std::string(in.sized());
    if (in.failed()) return fail(ErrorCode::corrupt, "a snapshot of registers is malformed");
  }
  return {};
}

Bytes RegisterMachine::get(const std::string& key) const {
  auto found = values_.find(key);
  return found == values_.end() ? Bytes() : Bytes(found->second);
}

}  // namespace asterism::simulation
