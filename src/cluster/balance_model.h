// The ring with numbers instead of names, so that a thousand variants of it can be judged in a moment. Internal to
// balance.cc.
#pragma once

#include "cluster/balance.h"

namespace asterism::balance {

using Parts = std::vector<std::pair<int64_t, double>>;

/// What lies in any range of the ring, where each part holds its amount evenly.
class Amounts {
 public:
  explicit Amounts(const Parts& parts);
  double in(int64_t after, int64_t to) const { return between(after, sum_at(after), to, sum_at(to)); }
  /// The same with what is known of both ends already.
  double between(int64_t after, double sum_after, int64_t to, double sum_to) const {
    if (after == to) return all();
    const double end = to == origin_ ? all() : sum_to;
    return end >= sum_after ? end - sum_after : all() - sum_after + end;
  }
  /// From where the first part begins to the token.
  double sum_at(int64_t token) const;
  double all() const { return sums_.back(); }
  /// The end of the part that holds a token; the token itself where there are no parts.
  int64_t end_of_part(int64_t token) const;
  /// Where a range holds about as much before as behind, at the end of a part.
  int64_t middle(int64_t after, int64_t to) const;

 private:
  static constexpr double whole = 18446744073709551616.0;

  int64_t origin_ = 0;
  bool empty_ = true;
  std::vector<double> ends_, sums_;
  std::vector<int64_t> tokens_;  // at ends_, but for the first
};

/// How even a ring is: sums of squares of what each node is off the mean, and how far the farthest is.
struct Evenness {
  double bytes = 0, load = 0;
  double bytes_off = 0;   // either way
  double load_above = 0;  // of the node that has most to do
};

class Model {
 public:
  Model(const Ring& ring, const std::vector<BalanceScope>& scopes);

  size_t nodes() const { return ids_.size(); }
  NodeId id(size_t node) const { return ids_[node]; }
  /// Sets bytes() and, where wanted, load().
  Evenness judge(bool with_load);
  /// Of each node, beside the mean of its datacenter.
  const std::vector<double>& bytes() const { return bytes_; }
  const std::vector<double>& load() const { return load_; }
  /// By node, in the mean of all; no change of tokens changes it, where each range has as many replicas as any other.
  double mean_load() const;

  struct Token {
    int64_t at = 0;
    size_t node = 0;
  };
  const std::vector<Token>& tokens() const { return tokens_; }
  /// False where another token is there; then nothing changes.
  bool move(int64_t from, int64_t to);
  std::vector<int64_t> tokens_of(size_t node) const;
  int64_t before(size_t token) const { return tokens_[(token + tokens_.size() - 1) % tokens_.size()].at; }
  int64_t behind(size_t token) const { return tokens_[(token + 1) % tokens_.size()].at; }

  // Of load, where it is known.

  int64_t end_of_part(int64_t token) const { return load_in_all_.end_of_part(token); }
  int64_t middle_of_load(int64_t after, int64_t to) const { return load_in_all_.middle(after, to); }
  double load_in(int64_t after, int64_t to) const { return load_in_all_.in(after, to); }

 private:
  struct Group {
    PlacementRule rule;
    std::vector<size_t> wanted;  // by datacenter, where the rule is by it
    Amounts bytes, load;
    std::vector<double> bytes_at, load_at;  // Amounts::sum_at() each token
  };
  void place(const Group& group, size_t from);
  void place_simple(size_t from, size_t count);
  void place_by_rack(size_t from, const std::vector<size_t>& wanted);
  double squares(std::vector<double>& amounts) const;

  std::vector<NodeId> ids_;
  std::vector<size_t> datacenter_, rack_;  // of each node; racks are numbered over all datacenters
  std::vector<size_t> members_, racks_;    // of each datacenter
  size_t rack_count_ = 0;
  std::vector<Token> tokens_;
  std::vector<Group> groups_;
  Amounts load_in_all_;  // of one replica, over all groups
  std::vector<double> bytes_, load_;
  // For one walk; who was seen in it has its number.
  uint64_t walk_ = 0;
  std::vector<uint64_t> seen_, rack_used_;
  std::vector<size_t> chosen_, found_, used_;
  std::vector<std::vector<size_t>> skipped_;
};

}  // namespace asterism::balance
