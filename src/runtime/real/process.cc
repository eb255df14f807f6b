#include "runtime/real/process.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern "C" {
#include <sys/pidfd.h>  // declares no language linkage in glibc 2.36
}

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "runtime/real/files.h"
#include "runtime/real/impl.h"
#include "runtime/real/system_file.h"

namespace asterism {
namespace {

struct ProcessStat {
  ProcessName name;
  char state;
  bool ending, ended;
};

/// proc(5): the second field is the program's name in parentheses and may hold anything. The first thread may be a
/// zombie while others still end, for example behind a sync; until they have, files and sockets stay open.
std::optional<ProcessStat> stat_of(int pid) {
  constexpr int first = 3, flags = 9, threads = 20, start_time = 22, pending_signals = 31;
  constexpr uint64_t flag_exiting = 4;  // PF_EXITING of include/linux/sched.h
  auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return std::nullopt;
  size_t at = text->rfind(')');
  if (at == std::string::npos || at + 2 >= text->size()) return std::nullopt;
  at += 2;
  const char state = (*text)[at];
  std::array<uint64_t, pending_signals + 1> fields{};
  for (int field = first + 1; field <= pending_signals; ++field) {
    at = text->find(' ', at);
    if (at == std::string::npos) return std::nullopt;
    ++at;
    std::from_chars(text->data() + at, text->data() + text->size(), fields[field]);
  }
  const bool zombie = state == 'Z' || state == 'X';
  const bool killed = fields[pending_signals] & (1u << (SIGKILL - 1));
  return ProcessStat{.name = {pid, fields[start_time]},
                     .state = state,
                     .ending = zombie || killed || (fields[flags] & flag_exiting),
                     .ended = zombie && fields[threads] <= 1};
}

}  // namespace

std::optional<ProcessName> process_of_pid(int pid) {
  auto found = stat_of(pid);
  if (!found || found->ended) return std::nullopt;
  return found->name;
}

ProcessName current_process() { return *process_of_pid(::getpid()); }

/// proc(5), statm: the second number is the resident set in pages.
std::optional<uint64_t> resident_bytes(const ProcessName& process) {
  auto text = read_file(fmt::format("/proc/{}/statm", process.pid));
  const size_t at = text ? text->find(' ') : std::string::npos;
  if (at == std::string::npos || !is_alive(process)) return std::nullopt;
  uint64_t pages = 0;
  std::from_chars(text->data() + at + 1, text->data() + text->size(), pages);
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

Duration processor_time() {
  timespec time;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

bool is_alive(const ProcessName& process) { return process_of_pid(process.pid) == process; }

bool is_ending(const ProcessName& process) {
  auto found = stat_of(process.pid);
  return found && found->name == process && found->ending && !found->ended;
}

bool is_stopped(const ProcessName& process) {
  auto found = stat_of(process.pid);
  return found && found->name == process && found->state == 'T';
}

static Result<Descriptor> open_process(const ProcessName& process) {
  Descriptor descriptor(::pidfd_open(process.pid, 0));
  if (descriptor.get() < 0) return std::unexpected(error_from_errno(errno, fmt::format("process {}", process.pid)));
  // Asked after opening: from now on the descriptor cannot mean another process.
  auto found = stat_of(process.pid);
  if (!found || found->name != process) return fail(ErrorCode::not_found, "process {} has ended", process.pid);
  return descriptor;
}

Status send_signal(const ProcessName& process, int signal) {
  TRY(Descriptor descriptor, open_process(process));
  if (::pidfd_send_signal(descriptor.get(), signal, nullptr, 0) == 0) return {};
  return std::unexpected(error_from_errno(errno, fmt::format("signal process {}", process.pid)));
}

namespace {

struct ProcessWatchState : std::enable_shared_from_this<ProcessWatchState> {
  ProcessWatchState(RealCore::Impl& core, int pidfd, std::function<void(ExitStatus)> function)
      : descriptor(core.io, pidfd), ended(std::move(function)) {}

  void wait() {
    descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            auto function = std::exchange(self->ended, nullptr);
                            if (error || !function) return;
                            function(self->reap());
                          });
  }

  ExitStatus reap() {
    siginfo_t info{};
    const int result = ::waitid(P_PIDFD, static_cast<id_t>(descriptor.native_handle()), &info, WEXITED | WNOHANG);
    if (result != 0 || info.si_pid == 0) return {};
    if (info.si_code == CLD_EXITED) return {.code = info.si_status, .signal = {}};
    return {.code = {}, .signal = info.si_status};
  }

  boost::asio::posix::stream_descriptor descriptor;
  std::function<void(ExitStatus)> ended;
};

class RealProcessWatch final : public ProcessWatch {
 public:
  RealProcessWatch(std::shared_ptr<ProcessWatchState> state, ProcessName process)
      : state_(std::move(state)), process_(process) {
    state_->wait();
  }
  ~RealProcessWatch() override {
    auto dropped = std::exchange(state_->ended, nullptr);
    boost::system::error_code ignored;
    (void)state_->descriptor.close(ignored);
  }
  const ProcessName& process() const override { return process_; }

 private:
  std::shared_ptr<ProcessWatchState> state_;
  ProcessName process_;
};

/// What posix_spawn is told, freed in the end.
struct SpawnPlan {
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<char*> arguments_of(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> pointers{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct LineState : std::enable_shared_from_this<LineState> {
  LineState(RealCore::Impl& core, int number, std::function<void(std::optional<std::string>)> function)
      : descriptor(core.io, number),
        line(std::make_shared<std::function<void(std::optional<std::string>)>>(std::move(function))) {}

  void wait() {
    descriptor.async_read_some(boost::asio::buffer(buffer),
                               [self = shared_from_this()](const boost::system::error_code& error, size_t got) {
                                 if (!self->line) return;
                                 self->text.append(self->buffer, got);
                                 self->take_lines(error || self->text.size() > max_line_bytes);
                               });
  }

  void take_lines(bool ended) {
    // Kept alive, because the function may destroy the reader, which empties the member.
    const auto function = line;
    for (size_t end; line && (end = text.find('\n')) != std::string::npos;) {
      std::string first = text.substr(0, end);
      text.erase(0, end + 1);
      (*function)(std::move(first));
    }
    if (!line) return;
    if (!ended) return wait();
    line = nullptr;
    (*function)(std::nullopt);
  }

  static constexpr size_t max_line_bytes = 64 << 10;
  boost::asio::posix::stream_descriptor descriptor;
  std::shared_ptr<std::function<void(std::optional<std::string>)>> line;
  std::string text;
  char buffer[4096];
};

class RealLineReader final : public LineReader {
 public:
  explicit RealLineReader(std::shared_ptr<LineState> state) : state_(std::move(state)) { state_->wait(); }
  ~RealLineReader() override {
    auto dropped = std::exchange(state_->line, nullptr);
    boost::system::error_code ignored;
    (void)state_->descriptor.close(ignored);
  }

 private:
  std::shared_ptr<LineState> state_;
};

}  // namespace

Result<std::unique_ptr<ProcessWatch>> watch_process(RealCore& core, const ProcessName& process,
                                                    std::function<void(ExitStatus)> ended) {
  TRY(Descriptor descriptor, open_process(process));
  auto state = std::make_shared<ProcessWatchState>(core.impl(), descriptor.release(), std::move(ended));
  return std::make_unique<RealProcessWatch>(std::move(state), process);
}

Result<Child> spawn(const SpawnOptions& options) {
  SpawnPlan plan;
  Descriptor reading, writing;
  posix_spawn_file_actions_addopen(&plan.actions, 0, "/dev/null", O_RDONLY, 0);
  if (!options.output_path.empty()) {
    posix_spawn_file_actions_addopen(&plan.actions, 1, options.output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    posix_spawn_file_actions_adddup2(&plan.actions, 1, 2);
  }
  if (options.with_pipe) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(error_from_errno(errno, "pipe"));
    reading = Descriptor(ends[0]);
    writing = Descriptor(ends[1]);
    posix_spawn_file_actions_adddup2(&plan.actions, writing.get(), child_pipe);
  }
  posix_spawn_file_actions_addclosefrom_np(&plan.actions, options.with_pipe ? child_pipe + 1 : child_pipe);

  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&plan.attributes, &all);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  if (options.detached) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&plan.attributes, flags);

  pid_t pid = 0;
  auto arguments = arguments_of(options.program, options.arguments);
  const int error =
      posix_spawn(&pid, options.program.c_str(), &plan.actions, &plan.attributes, arguments.data(), environ);
  if (error != 0) return std::unexpected(error_from_errno(error, "start " + options.program));
  auto started = stat_of(pid);
  if (!started) return fail(ErrorCode::io, "/proc does not show process {}", pid);
  return Child{started->name, reading.release()};
}

std::unique_ptr<LineReader> read_lines(RealCore& core, int descriptor,
                                       std::function<void(std::optional<std::string>)> line) {
  return std::make_unique<RealLineReader>(std::make_shared<LineState>(core.impl(), descriptor, std::move(line)));
}

bool end_with_parent(int parent, int signal) {
  ::prctl(PR_SET_PDEATHSIG, signal);
  return ::getppid() == parent;
}

void raise_descriptor_limit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string own_program() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : std::string();
}

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

Status write_descriptor(int descriptor, std::string_view bytes) {
  return write_all(descriptor, {Bytes(bytes)}, fmt::format("descriptor {}", descriptor));
}

void close_descriptor(int descriptor) { ::close(descriptor); }

Status replace_process(const std::string& program, const std::vector<std::string>& arguments) {
  auto pointers = arguments_of(program, arguments);
  ::execvp(program.c_str(), pointers.data());
  return std::unexpected(error_from_errno(errno, "run " + program));
}

}  // namespace asterism
