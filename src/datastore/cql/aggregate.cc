#include "datastore/cql/aggregate.h"

#include <bit>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>

#include "datastore/number.h"

namespace asterism::cql {

namespace {

using boost::multiprecision::cpp_int;

class Count final : public Aggregate {
 public:
  explicit Count(bool all) : all_(all) {}
  void add(MaybeView value) override { count_ += all_ || value ? 1 : 0; }
  Answer<MaybeBytes> result() const override { return long_value(count_); }

 private:
  bool all_;
  int64_t count_ = 0;
};

class Extreme final : public Aggregate {
 public:
  Extreme(DataType type, bool max) : type_(std::move(type)), max_(max) {}
  void add(MaybeView value) override {
    if (!value) return;
    const int order = best_ ? compare(type_, *value, *best_) : 0;
    if (!best_ || (max_ ? order > 0 : order < 0)) best_ = Bytes(*value);
  }
  Answer<MaybeBytes> result() const override { return best_; }

 private:
  DataType type_;
  bool max_;
  MaybeBytes best_;
};

/// tinyint to bigint: sums wrap as Java's do, averages do not overflow and cut towards zero.
class IntegerSum final : public Aggregate {
 public:
  IntegerSum(size_t size, bool average) : size_(size), average_(average) {}
  void add(MaybeView value) override {
    if (!value || value->size() != size_) return;
    sum_ += load_integer(*value);
    ++count_;
  }
  Answer<MaybeBytes> result() const override {
    __int128 value = sum_;
    if (average_) value = count_ == 0 ? 0 : sum_ / count_;
    return long_value(static_cast<int64_t>(value)).substr(8 - size_);
  }

 private:
  size_t size_;
  bool average_;
  __int128 sum_ = 0;
  int64_t count_ = 0;
};

/// Kahan's sum, and the plain one for what is not finite.
class FloatSum final : public Aggregate {
 public:
  FloatSum(bool wide, bool average) : wide_(wide), average_(average) {}
  void add(MaybeView value) override {
    if (!value || value->size() != (wide_ ? 8 : 4)) return;
    const double number = wide_ ? std::bit_cast<double>(load_big_endian<uint64_t>(value->data()))
                                : std::bit_cast<float>(load_big_endian<uint32_t>(value->data()));
    plain_ += number;
    ++count_;
    const double corrected = number - lost_;
    const double next = sum_ + corrected;
    lost_ = (next - sum_) - corrected;
    sum_ = next;
  }
  Answer<MaybeBytes> result() const override {
    double value = std::isfinite(sum_) ? sum_ : plain_;
    if (average_) value = count_ == 0 ? 0 : value / static_cast<double>(count_);
    if (wide_) return long_value(std::bit_cast<int64_t>(value));
    return int_value(std::bit_cast<int32_t>(static_cast<float>(value)));
  }

 private:
  bool wide_, average_;
  double sum_ = 0, lost_ = 0, plain_ = 0;
  int64_t count_ = 0;
};

cpp_int load_varint(BytesView value) {
  if (value.empty()) return 0;
  cpp_int number;
  import_bits(number, value.begin(), value.end());
  if (value[0] & 0x80) number -= cpp_int(1) << (value.size() * 8);
  return number;
}

Bytes store_varint(const cpp_int& number) {
  Bytes value;
  datastore::varint_from_text(number.str(), value);
  return value;
}

/// varint, and decimal with its scale.
class ExactSum final : public Aggregate {
 public:
  ExactSum(bool decimal, bool average) : decimal_(decimal), average_(average) {}
  void add(MaybeView value) override {
    if (!value || value->size() < (decimal_ ? 5 : 1)) return;
    ++count_;
    int64_t scale = 0;
    if (decimal_) {
      scale = load_big_endian<int32_t>(value->data());
      value->remove_prefix(4);
    }
    cpp_int number = load_varint(*value);
    if (count_ == 1) scale_ = scale;
    const int64_t apart = scale - scale_;
    if (std::abs(apart) > max_digits) {
      too_large_ = true;
      return;
    }
    if (apart > 0) {
      sum_ *= pow(cpp_int(10), static_cast<unsigned>(apart));
      scale_ = scale;
    } else if (apart < 0) {
      number *= pow(cpp_int(10), static_cast<unsigned>(-apart));
    }
    sum_ += number;
    too_large_ |= sum_ != 0 && msb(abs(sum_)) > max_digits * 4;
  }
  Answer<MaybeBytes> result() const override {
    if (too_large_) return invalid("The result of an aggregate has too many digits");
    cpp_int value = sum_;
    if (average_ && count_ > 0) value = decimal_ ? half_even(sum_, count_) : cpp_int(sum_ / count_);
    Bytes bytes;
    if (decimal_) bytes = int_value(static_cast<int32_t>(scale_));
    bytes += store_varint(value);
    return bytes;
  }

 private:
  static constexpr int64_t max_digits = 4096;
  static cpp_int half_even(const cpp_int& sum, int64_t count) {
    cpp_int quotient = sum / count;
    const cpp_int twice = abs(cpp_int(sum % count)) * 2;
    const bool odd = (quotient % 2) != 0;
    if (twice > count || (twice == count && odd)) quotient += sum < 0 ? -1 : 1;
    return quotient;
  }
  bool decimal_, average_;
  cpp_int sum_ = 0;
  int64_t scale_ = 0;
  int64_t count_ = 0;
  bool too_large_ = false;
};

}  // namespace

bool is_aggregate(std::string_view name) {
  return name == "count" || name == "min" || name == "max" || name == "sum" || name == "avg";
}

std::optional<DataType> aggregate_type(std::string_view name, const DataType& argument) {
  if (name == "count") return TypeKind::bigint;
  if (name == "min" || name == "max") return argument;
  switch (argument.kind()) {
    case TypeKind::tinyint:
    case TypeKind::smallint:
    case TypeKind::int_:
    case TypeKind::bigint:
    case TypeKind::float_:
    case TypeKind::double_:
    case TypeKind::varint:
    case TypeKind::decimal:
      return argument;
    default:
      return std::nullopt;
  }
}

std::unique_ptr<Aggregate> make_count_all() { return std::make_unique<Count>(true); }

std::unique_ptr<Aggregate> make_aggregate(std::string_view name, const DataType& argument) {
  if (name == "count") return std::make_unique<Count>(false);
  if (name == "min" || name == "max") return std::make_unique<Extreme>(argument, name == "max");
  const bool average = name == "avg";
  switch (argument.kind()) {
    case TypeKind::tinyint:
      return std::make_unique<IntegerSum>(1, average);
    case TypeKind::smallint:
      return std::make_unique<IntegerSum>(2, average);
    case TypeKind::int_:
      return std::make_unique<IntegerSum>(4, average);
    case TypeKind::bigint:
      return std::make_unique<IntegerSum>(8, average);
    case TypeKind::float_:
    case TypeKind::double_:
      return std::make_unique<FloatSum>(argument.kind() == TypeKind::double_, average);
    default:
      return std::make_unique<ExactSum>(argument.kind() == TypeKind::decimal, average);
  }
}

}  // namespace asterism::cql
