#include "runtime/real/tls.h"

#include "runtime/real/certificates.h"
#include "runtime/real/files.h"
#include "runtime/real/test_core.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

using Clients = TlsOptions::Clients;

struct TlsTest : TestCore {
  using StreamPtr = std::unique_ptr<Stream>;

  Identity authority = make_authority("test");
  Identity foreign = make_authority("foreign");
  std::unique_ptr<Network> server, client;

  std::string file(const std::string& name, const std::string& content) {
    const std::string path = folder + "/" + name;
    EXPECT_TRUE(write_file(path, content));
    return path;
  }
  TlsOptions identity_of(const Identity& by, const std::string& name, const std::string& address = "127.0.0.1") {
    auto issued = issue_certificate(by, name, {address});
    EXPECT_TRUE(issued);
    return {.certificate = file(name + ".pem", issued->certificate),
            .key = file(name + ".key", issued->key),
            .authorities = file("ca.pem", authority.certificate)};
  }
  std::unique_ptr<Network> make(const TlsOptions& options) {
    auto network = make_tls_network(core.network(), core.executor(), options);
    EXPECT_TRUE(network) << network.error().message;
    return network ? std::move(*network) : nullptr;
  }
  TlsOptions trusting() { return {.certificate = "", .key = "", .authorities = file("ca.pem", authority.certificate)}; }
  std::unique_ptr<Listener> listen() { return std::move(*server->listen({"127.0.0.1", 0})); }

  void make_both(Clients clients = Clients::off) {
    TlsOptions options = identity_of(authority, "node");
    options.clients = clients;
    server = make(options);
    client = make(trusting());
  }
  static Task<void> dial(Network& network, Address to, Result<StreamPtr>& out) { out = co_await connect(network, to); }
  static Task<void> take(Listener& at, StreamPtr& out) { out = std::move(*co_await accept(at)); }
  static Task<void> drain(Stream& stream, std::shared_ptr<Bytes> all, std::shared_ptr<std::optional<ErrorCode>> ended) {
    while (true) {
      auto bytes = co_await read(stream, 100'000);
      if (!bytes) co_return void(*ended = bytes.error().code);
      if (bytes->empty()) co_return void(*ended = ErrorCode::closed);
      *all += *bytes;
    }
  }
  /// Both ends of one connection; the far one has a reader from the start, which makes its handshake.
  struct Pair {
    StreamPtr near, far;
    std::shared_ptr<Bytes> arrived = std::make_shared<Bytes>();
    std::shared_ptr<std::optional<ErrorCode>> ended = std::make_shared<std::optional<ErrorCode>>();
    Error refused = {};
  };
  Pair pair() {
    auto listener = listen();
    Pair made;
    Result<StreamPtr> dialled = fail(ErrorCode::internal, "nothing came of it");
    group.spawn(dial(*client, listener->local_address(), dialled));
    run_until([&](auto& self) -> Task<void> { return take(*listener, self.far); }, made);
    group.spawn(drain(*made.far, made.arrived, made.ended));
    EXPECT_TRUE(core.run_until([&] { return dialled || dialled.error().code != ErrorCode::internal; }, 10s));
    if (dialled) {
      made.near = std::move(*dialled);
    } else {
      made.refused = dialled.error();
    }
    return made;
  }
  template <class Make>
  void run_until(Make make_task, Pair& made) {
    group.spawn(make_task(made));
    ASSERT_TRUE(core.run_until([&] { return made.far != nullptr; }, 10s));
  }
  bool wait(const std::function<bool()>& done) { return core.run_until(done, 10s); }
};

TEST_F(TlsTest, MegabytesPassWholeInBothDirections) {
  make_both();
  auto connection = pair();
  ASSERT_TRUE(connection.near) << connection.refused.to_string();
  Bytes sent(6 << 20, 'x');
  for (size_t i = 0; i < sent.size(); i += 4093) sent[i] = static_cast<char>(i);
  bool written = false, answered = false;
  connection.near->write({sent.substr(0, 1000), "", sent.substr(1000)},
                         [&](Status status) { written = status.has_value(); });
  connection.far->write({sent}, [&](Status status) { answered = status.has_value(); });
  auto back = std::make_shared<Bytes>();
  auto ended = std::make_shared<std::optional<ErrorCode>>();
  group.spawn(drain(*connection.near, back, ended));
  EXPECT_TRUE(wait(
      [&] { return written && answered && back->size() == sent.size() && connection.arrived->size() == sent.size(); }));
  EXPECT_TRUE(*back == sent && *connection.arrived == sent);
  connection.near->close();
  EXPECT_TRUE(wait([&] { return connection.ended->has_value() && ended->has_value(); }));
}

TEST_F(TlsTest, TryWriteTakesWhatFitsAndWriteGoesOn) {
  make_both();
  auto listener = listen();
  Result<StreamPtr> dialled = fail(ErrorCode::internal, "nothing came of it");
  group.spawn(dial(*client, listener->local_address(), dialled));
  Pair ends;
  run_until([&](auto& self) -> Task<void> { return take(*listener, self.far); }, ends);
  // Reads once, for the handshake, and then not.
  bool first = false;
  ends.far->read(1, [&](Result<Bytes> bytes) { first = bytes && *bytes == "x"; });
  ASSERT_TRUE(wait([&] { return dialled.has_value(); }));
  Stream& near = **dialled;
  Bytes sent(32 << 20, 'x');
  for (size_t i = 1; i < sent.size(); i += 4093) sent[i] = static_cast<char>(i);
  size_t taken = 0;
  while (taken < sent.size()) {
    auto more = near.try_write(BytesView(sent).substr(taken));
    ASSERT_TRUE(more);
    if (*more == 0) break;
    taken += *more;
  }
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, sent.size()) << "nobody reads";
  bool written = false;
  near.write({sent.substr(taken)}, [&](Status status) { written = status.has_value(); });
  EXPECT_TRUE(wait([&] { return first; }));
  auto ended = std::make_shared<std::optional<ErrorCode>>();
  auto rest = std::make_shared<Bytes>();
  group.spawn(drain(*ends.far, rest, ended));
  EXPECT_TRUE(wait([&] { return written && rest->size() + 1 == sent.size(); }));
  EXPECT_TRUE("x" + *rest == sent);
}

TEST_F(TlsTest, PlainBytesEndTheirConnectionOnly) {
  make_both();
  auto neighbour = pair();
  ASSERT_TRUE(neighbour.near);
  auto listener = listen();
  for (Bytes bytes : {Bytes("\4\0\0\1\1\0\0\0\x16", 9), Bytes("GET / HTTP/1.1\r\n\r\n"), Bytes(70'000, '\xff'),
                      Bytes("\x16\x03\x01\xff\xff", 5) + Bytes(70'000, 'x')}) {
    Result<StreamPtr> plain = fail(ErrorCode::internal, "nothing came of it");
    group.spawn(dial(core.network(), listener->local_address(), plain));
    Pair ends;
    run_until([&](auto& self) -> Task<void> { return take(*listener, self.far); }, ends);
    group.spawn(drain(*ends.far, ends.arrived, ends.ended));
    ASSERT_TRUE(wait([&] { return plain.has_value(); }));
    (*plain)->write({bytes}, [](Status) {});
    EXPECT_TRUE(wait([&] { return ends.ended->has_value(); }));
    EXPECT_EQ(*ends.arrived, "");
    core.run_until([] { return false; }, 5ms);
    group.cancel();
  }
  bool written = false;
  neighbour.near->write({"still here"}, [&](Status status) { written = status.has_value(); });
  EXPECT_TRUE(wait([&] { return written; }));
}

TEST_F(TlsTest, AnotherAuthoritysCertificateIsNotTrusted) {
  server = make(identity_of(foreign, "impostor"));
  client = make(trusting());
  auto connection = pair();
  EXPECT_FALSE(connection.near);
  EXPECT_EQ(connection.refused.code, ErrorCode::unauthorized) << connection.refused.message;
}

TEST_F(TlsTest, ACertificateForAnotherAddressIsNotTrusted) {
  server = make(identity_of(authority, "elsewhere", "127.0.0.9"));
  client = make(trusting());
  EXPECT_EQ(pair().refused.code, ErrorCode::unauthorized);
  TlsOptions any = trusting();
  any.check_address = false;
  client = make(any);
  EXPECT_TRUE(pair().near);
}

TEST_F(TlsTest, ClientsWithoutTheRightCertificateAreRefusedWhereOneIsRequired) {
  make_both(Clients::required);
  auto answered = [&](const TlsOptions& as) {
    client = make(as);
    auto connection = pair();
    if (!connection.near) return false;
    // In TLS 1.3 the client learns of it after its handshake.
    connection.near->write({"hello"}, [](Status) {});
    wait([&] { return connection.ended->has_value() || !connection.arrived->empty(); });
    group.cancel();
    return *connection.arrived == "hello";
  };
  EXPECT_FALSE(answered(trusting()));
  EXPECT_FALSE(answered(identity_of(foreign, "stranger")));
  EXPECT_TRUE(answered(identity_of(authority, "friend")));
}

TEST_F(TlsTest, DestroyingAStreamInItsOwnCallbackIsFine) {
  make_both();
  auto connection = pair();
  ASSERT_TRUE(connection.near);
  bool gone = false;
  connection.near->read(10, [&](Result<Bytes>) {
    connection.near.reset();
    gone = true;
  });
  connection.far->write({"x"}, [](Status) {});
  EXPECT_TRUE(wait([&] { return gone && connection.ended->has_value(); }));
}

TEST_F(TlsTest, CloseCompletesPendingOperationsWithClosed) {
  make_both();
  auto connection = pair();
  ASSERT_TRUE(connection.near);
  std::optional<ErrorCode> error;
  connection.near->read(10, [&](Result<Bytes> bytes) { error = bytes.error().code; });
  connection.near->close();
  connection.near->close();
  EXPECT_FALSE(error) << "called inside close()";
  ASSERT_TRUE(wait([&] { return error.has_value(); }));
  EXPECT_EQ(error, ErrorCode::closed);
  EXPECT_EQ(connection.near->try_write("x").error().code, ErrorCode::closed);
}

TEST_F(TlsTest, FilesThatAreWrongAreNamed) {
  const TlsOptions good = identity_of(authority, "node");
  auto error_of = [&](TlsOptions options) {
    auto network = make_tls_network(core.network(), core.executor(), options);
    return network ? std::string() : network.error().message;
  };
  TlsOptions options = good;
  options.certificate = folder + "/missing.pem";
  EXPECT_NE(error_of(options).find("missing.pem"), std::string::npos);
  options = good;
  options.key = identity_of(authority, "other").key;
  EXPECT_NE(error_of(options).find("other.key"), std::string::npos);
  options = good;
  options.authorities = file("garbage.pem", "garbage");
  EXPECT_NE(error_of(options).find("garbage.pem"), std::string::npos);
  options = good;
  options.authorities.clear();
  options.clients = Clients::required;
  EXPECT_NE(error_of(options).find("authorities"), std::string::npos);
  EXPECT_FALSE(issue_certificate(authority, "x", {"not an address"}));
  EXPECT_FALSE(issue_certificate({"", ""}, "x", {"127.0.0.1"}));
}

}  // namespace
}  // namespace asterism
