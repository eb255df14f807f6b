#include "gateway/join_token.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/assert.h"
#include "gateway/access.pb.h"
#include "gateway/scram.h"

namespace asterism {
namespace {

constexpr std::string_view prefix = "asterism1";
constexpr std::string_view plain = "plain";
constexpr size_t id_digits = 16, hash_bytes = 32;

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_claim(const JoinToken::Claim& claim) {
  return claim.claimant.size() == hash_bytes && !claim.name.empty() && claim.name.size() <= 64 &&
         !claim.address.empty() && claim.address.size() <= 64;
}

void to_proto(const std::string& id, const JoinToken& token, access::JoinToken& out) {
  out.set_id(id);
  out.set_hash(token.hash);
  out.set_expires_us(token.expires.us);
  out.set_uses(token.uses);
  for (const JoinToken::Claim& claim : token.claims) {
    auto& made = *out.add_claims();
    made.set_claimant(claim.claimant);
    made.set_name(claim.name);
    made.set_address(claim.address);
  }
}

JoinToken from_proto(const access::JoinToken& in) {
  JoinToken token{in.hash(), WallTime{in.expires_us()}, in.uses(), {}};
  for (const auto& claim : in.claims()) token.claims.push_back({claim.claimant(), claim.name(), claim.address()});
  return token;
}

}  // namespace

std::string JoinTokenText::to_string() const {
  return fmt::format("{}-{}-{}-{}", prefix, id, to_hex(secret), authority.empty() ? plain : authority);
}

Result<JoinTokenText> parse_join_token(std::string_view text) {
  std::string_view parts[4];
  for (size_t i = 0; i < 4; ++i) {
    const size_t end = i < 3 ? text.find('-') : text.size();
    if (end == std::string_view::npos) return fail(ErrorCode::invalid_argument, "this is no join token");
    parts[i] = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  JoinTokenText token;
  const bool good = parts[0] == prefix && is_hex(parts[1], id_digits) && is_hex(parts[2], 2 * join_secret_bytes) &&
                    (parts[3] == plain || is_hex(parts[3], 2 * hash_bytes)) && from_hex(parts[2], token.secret);
  if (!good) return fail(ErrorCode::invalid_argument, "this is no join token");
  token.id = parts[1];
  if (parts[3] != plain) token.authority = parts[3];
  return token;
}

Bytes hash_of_join_secret(BytesView secret) {
  Bytes out(hash_bytes, '\0');
  const int done = EVP_Digest(secret.data(), secret.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr,
                              EVP_sha256(), nullptr);
  ASSERT(done == 1);
  return out;
}

const JoinToken::Claim* JoinToken::claim_of(BytesView claimant) const {
  const Claim* found = nullptr;
  for (const Claim& claim : claims)
    if (equal_in_constant_time(claim.claimant, claimant)) found = &claim;
  return found;
}

Status JoinTokens::check(const std::string& id, BytesView secret, BytesView claimant, WallTime now) const {
  const auto it = tokens_.find(id);
  const Bytes nobody(hash_bytes, '\0');
  const bool fits = equal_in_constant_time(hash_of_join_secret(secret), it == tokens_.end() ? nobody : it->second.hash);
  if (it == tokens_.end() || !fits)
    return fail(ErrorCode::unauthorized,
                "this join token is not valid: it is wrong, was revoked, expired long ago, or belongs to another "
                "cluster");
  return usable(it->second, claimant, now);
}

Status JoinTokens::usable(const JoinToken& token, BytesView claimant, WallTime now) const {
  if (token.expires <= now)
    return fail(ErrorCode::unauthorized, "this join token has expired: make another one with asterism node token");
  if (token.uses == 0 && token.claim_of(claimant) == nullptr)
    return fail(ErrorCode::unauthorized, "this join token is used up: make another one with asterism node token");
  return {};
}

Status JoinTokens::apply(const access::AccessCommand& command) {
  switch (command.command_case()) {
    case access::AccessCommand::kAddToken:
      return add_now(command.add_token().token().id(), from_proto(command.add_token().token()),
                     WallTime{command.add_token().now_us()});
    case access::AccessCommand::kDropToken:
      if (tokens_.erase(command.drop_token()) > 0) return {};
      return fail(ErrorCode::not_found, "there is no join token {}", command.drop_token());
    case access::AccessCommand::kClaimToken: {
      const auto& told = command.claim_token();
      return claim_now(told.id(), {told.claim().claimant(), told.claim().name(), told.claim().address()},
                       WallTime{told.now_us()});
    }
    default:
      return fail(ErrorCode::unsupported, "unknown access command");
  }
}

Status JoinTokens::add_now(const std::string& id, JoinToken token, WallTime now) {
  std::erase_if(tokens_, [&](const auto& entry) { return entry.second.expires <= now; });
  const bool good = is_hex(id, id_digits) && token.hash.size() == hash_bytes && token.expires > now &&
                    token.expires.us - now.us <= join_expiry_most_s * 1'000'000 && token.uses >= 1 &&
                    token.uses <= join_uses_max && token.claims.empty();
  if (!good)
    return fail(ErrorCode::invalid_argument, "a join token holds for 1 s to {} days and 1 to {} uses",
                join_expiry_most_s / 86'400, join_uses_max);
  if (tokens_.contains(id)) return fail(ErrorCode::already_exists, "there is a join token {} already", id);
  if (tokens_.size() >= join_tokens_max)
    return fail(ErrorCode::too_large, "there are {} join tokens already: revoke some", join_tokens_max);
  tokens_.emplace(id, std::move(token));
  return {};
}

Status JoinTokens::claim_now(const std::string& id, JoinToken::Claim claim, WallTime now) {
  auto it = tokens_.find(id);
  if (it == tokens_.end()) return fail(ErrorCode::unauthorized, "this join token was revoked");
  if (!is_claim(claim)) return fail(ErrorCode::invalid_argument, "malformed claim of a join token");
  JoinToken& token = it->second;
  TRY_STATUS(usable(token, claim.claimant, now));
  if (const JoinToken::Claim* before = token.claim_of(claim.claimant)) {
    if (*before == claim) return {};
    return fail(ErrorCode::invalid_argument, "this machine began to join as {} at {}: go on with that name and address",
                before->name, before->address);
  }
  --token.uses;
  token.claims.push_back(std::move(claim));
  return {};
}

void JoinTokens::save(access::AccessSnapshot& out) const {
  for (const auto& [id, token] : tokens_) to_proto(id, token, *out.add_tokens());
}

void JoinTokens::load(const access::AccessSnapshot& in) {
  tokens_.clear();
  for (const auto& token : in.tokens()) tokens_.emplace(token.id(), from_proto(token));
}

Bytes JoinTokens::add(const std::string& id, const JoinToken& token, WallTime now) {
  access::AccessCommand command;
  to_proto(id, token, *command.mutable_add_token()->mutable_token());
  command.mutable_add_token()->set_now_us(now.us);
  return command.SerializeAsString();
}

Bytes JoinTokens::drop(const std::string& id) {
  access::AccessCommand command;
  command.set_drop_token(id);
  return command.SerializeAsString();
}

Bytes JoinTokens::claim(const std::string& id, const JoinToken::Claim& claim, WallTime now) {
  access::AccessCommand command;
  auto& out = *command.mutable_claim_token();
  out.set_id(id);
  out.mutable_claim()->set_claimant(claim.claimant);
  out.mutable_claim()->set_name(claim.name);
  out.mutable_claim()->set_address(claim.address);
  out.set_now_us(now.us);
  return command.SerializeAsString();
}

}  // namespace asterism
