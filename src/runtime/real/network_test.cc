#include <sys/resource.h>
#include <unistd.h>

#include "runtime/real/test_core.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

struct RealNetworkTest : TestCore {
  using StreamPtr = std::unique_ptr<Stream>;

  std::unique_ptr<Listener> listen() {
    auto listener = core.network().listen({"127.0.0.1", 0});
    EXPECT_TRUE(listener);
    return std::move(*listener);
  }
  /// Both ends of one connection.
  std::pair<StreamPtr, StreamPtr> pair() {
    auto listener = listen();
    StreamPtr near, far;
    auto connect_both = [](RealCore& with, Listener& at, StreamPtr& out_near, StreamPtr& out_far) -> Task<void> {
      out_near = std::move(*co_await connect(with.network(), at.local_address()));
      out_far = std::move(*co_await accept(at));
    };
    run(connect_both(core, *listener, near, far));
    return {std::move(near), std::move(far)};
  }
};

Task<void> read_exactly(Stream& stream, size_t size, Bytes& out) {
  while (out.size() < size) {
    auto bytes = co_await read(stream, size - out.size());
    if (!bytes || bytes->empty()) co_return;
    out += *bytes;
  }
}

TEST_F(RealNetworkTest, PiecesArriveInOrderAndEndIsAnEmptyRead) {
  auto [near, far] = pair();
  EXPECT_EQ(near->remote_address(), far->local_address());
  run([](Stream& from, Stream& to) -> Task<void> {
    std::vector<Bytes> pieces;
    pieces.push_back("one ");
    pieces.push_back("");
    pieces.push_back("two");
    EXPECT_TRUE(co_await write(from, std::move(pieces)));
    Bytes got;
    co_await read_exactly(to, 7, got);
    EXPECT_EQ(got, "one two");
    from.close();
    auto end = co_await read(to, 100);
    EXPECT_TRUE(end && end->empty());
  }(*near, *far));
}

TEST_F(RealNetworkTest, MegabytesPassWhole) {
  auto [near, far] = pair();
  const size_t size = 8 << 20;
  Bytes sent(size, 'x'), got;
  for (size_t i = 0; i < size; i += 4093) sent[i] = static_cast<char>(i);
  group.spawn(
      [](Stream& to, Bytes bytes) -> Task<void> { EXPECT_TRUE(co_await write(to, std::move(bytes))); }(*near, sent));
  run(read_exactly(*far, size, got));
  EXPECT_TRUE(got == sent);
}

TEST_F(RealNetworkTest, AReaderThatNeverReadsHoldsTheWriterBack) {
  auto [near, far] = pair();
  bool written = false;
  near->write({Bytes(64 << 20, 'x')}, [&](Status) { written = true; });
  EXPECT_FALSE(core.run_until([&] { return written; }, 50ms));
  far->close();
  EXPECT_TRUE(core.run_until([&] { return written; }, 10s));
}

TEST_F(RealNetworkTest, TryWriteTakesWhatFitsAndWriteGoesOn) {
  auto [near, far] = pair();
  Bytes sent(32 << 20, 'x'), got;
  for (size_t i = 0; i < sent.size(); i += 4093) sent[i] = static_cast<char>(i);
  EXPECT_EQ(near->try_write({}), 0u);
  size_t taken = 0;
  while (taken < sent.size()) {
    auto more = near->try_write(BytesView(sent).substr(taken));
    ASSERT_TRUE(more);
    if (*more == 0) break;
    taken += *more;
  }
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, sent.size()) << "nobody reads";
  group.spawn([](Stream& to, Bytes rest) -> Task<void> { EXPECT_TRUE(co_await write(to, std::move(rest))); }(
                                             *near, sent.substr(taken)));
  run(read_exactly(*far, sent.size(), got));
  EXPECT_TRUE(got == sent);
}

TEST_F(RealNetworkTest, TryWriteOfAClosedStreamSaysSo) {
  auto [near, far] = pair();
  near->close();
  EXPECT_EQ(near->try_write("x").error().code, ErrorCode::closed);
  run([](Stream& stream) -> Task<void> { EXPECT_TRUE((co_await read(stream, 1))->empty()); }(*far));
  // The peer answers the first byte with a reset, which the sender learns of later.
  Result<size_t> outcome = far->try_write("x");
  core.run_until([&] { return !(outcome = far->try_write("x")); }, 10s);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::closed) << outcome.error().to_string();
}

TEST_F(RealNetworkTest, CloseCompletesPendingOperationsWithClosed) {
  auto [near, far] = pair();
  std::optional<ErrorCode> read_error, later_error;
  near->read(10, [&](Result<Bytes> bytes) { read_error = bytes.error().code; });
  near->close();
  near->close();
  EXPECT_FALSE(read_error) << "called inside close()";
  ASSERT_TRUE(core.run_until([&] { return read_error.has_value(); }, 10s));
  EXPECT_EQ(read_error, ErrorCode::closed);
  near->write({"x"}, [&](Status status) { later_error = status.error().code; });
  ASSERT_TRUE(core.run_until([&] { return later_error.has_value(); }, 10s));
  EXPECT_EQ(later_error, ErrorCode::closed);
}

TEST_F(RealNetworkTest, DestroyingAStreamDropsItsCallbacks) {
  auto [near, far] = pair();
  auto witness = std::make_shared<int>(0);
  near->read(10, [witness](Result<Bytes>) { ++*witness; });
  near.reset();
  EXPECT_EQ(witness.use_count(), 1);
  run([](Stream& stream) -> Task<void> { EXPECT_TRUE((co_await read(stream, 1))->empty()); }(*far));
  EXPECT_EQ(*witness, 0);
}

TEST_F(RealNetworkTest, PortInUseIsNamed) {
  auto listener = listen();
  auto second = core.network().listen(listener->local_address());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::already_exists);
  EXPECT_NE(second.error().message.find(listener->local_address().to_string()), std::string::npos);
  EXPECT_EQ(core.network().listen({"localhost", 0}).error().code, ErrorCode::invalid_argument);
}

TEST_F(RealNetworkTest, NobodyListensIsUnavailable) {
  Address address = listen()->local_address();
  run([](RealCore& with, Address to) -> Task<void> {
    auto stream = co_await connect(with.network(), to);
    EXPECT_FALSE(stream);
    if (!stream) EXPECT_EQ(stream.error().code, ErrorCode::unavailable);
  }(core, address));
}

TEST_F(RealNetworkTest, NoDescriptorLeftIsOverloadedAndPasses) {
  auto listener = listen();
  std::vector<StreamPtr> connected;
  run([](RealCore& with, Address to, std::vector<StreamPtr>& out) -> Task<void> {
    out.push_back(std::move(*co_await connect(with.network(), to)));
  }(core, listener->local_address(), connected));
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int lowest_free = dup(0);
  close(lowest_free);
  rlimit tight{static_cast<rlim_t>(lowest_free), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  std::optional<ErrorCode> refused;
  listener->accept([&](Result<StreamPtr> stream) { refused = stream ? ErrorCode::internal : stream.error().code; });
  const bool answered = core.run_until([&] { return refused.has_value(); }, 10s);
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(answered);
  EXPECT_EQ(refused, ErrorCode::overloaded);
  run([](Listener& at) -> Task<void> { EXPECT_TRUE(co_await accept(at)); }(*listener));
}

TEST_F(RealNetworkTest, DeadlineDropsAReadThatNobodyAnswers) {
  auto [near, far] = pair();
  run([](Stream& stream) -> Task<void> {
    auto slow = [](Stream& from) -> Task<Result<Bytes>> { co_return co_await read(from, 10); };
    auto result = co_await with_timeout(5ms, slow(stream));
    EXPECT_EQ(result.error().code, ErrorCode::timeout);
  }(*near));
}

}  // namespace
}  // namespace asterism
