// Processes of this machine: starting them, watching them end, signalling them, and what this process knows of itself.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace asterism {

class RealCore;

/// A process id together with when that process started (clock ticks since boot), because the kernel uses ids again.
struct ProcessName {
  int pid = 0;
  uint64_t start_ticks = 0;
  bool operator==(const ProcessName&) const = default;
};

/// None where there is no such process, or only its zombie: none of its threads, files and sockets is left.
std::optional<ProcessName> process_of_pid(int pid);
ProcessName current_process();
bool is_alive(const ProcessName& process);
/// Whether it was killed or exits, and is not gone yet. (From outside; best effort.)
bool is_ending(const ProcessName& process);
/// Whether it was stopped (SIGSTOP) and has not gone on since.
bool is_stopped(const ProcessName& process);
/// Bytes of physical memory that it uses. None where it has ended.
std::optional<uint64_t> resident_bytes(const ProcessName& process);
/// How long processors have worked for this process, all its threads together.
Duration processor_time();
/// not_found where it ended already.
Status send_signal(const ProcessName& process, int signal);

/// How a child ended. Of a process that is not our child, neither is known.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
};

/// Watches one process, child or not, through a pidfd. Destroying it stops the watch and leaves the process alone.
class ProcessWatch {
 public:
  virtual ~ProcessWatch() = default;
  virtual const ProcessName& process() const = 0;
};
/// `ended` is called once from the loop. A child is reaped then. Errors: not_found.
Result<std::unique_ptr<ProcessWatch>> watch_process(RealCore& core, const ProcessName& process,
                                                    std::function<void(ExitStatus)> ended);

struct SpawnOptions {
  std::string program;                 // a path
  std::vector<std::string> arguments;  // without argv[0]
  std::string output_path;             // where standard output and error are appended to; empty: inherited
  bool detached = false;               // in a session of its own, so that no terminal can interrupt it
  bool with_pipe = false;              // the child gets the writing end of a pipe as descriptor `child_pipe`
};
inline constexpr int child_pipe = 3;

/// A started child. Destroying it neither ends nor reaps the child: watch_process() does that.
struct Child {
  ProcessName process;
  int pipe = -1;  // the reading end, owned by the caller; close-on-exec
};
/// Standard input is /dev/null. Signals have their default dispositions and none is blocked. Errors: io.
Result<Child> spawn(const SpawnOptions& options);

/// Reads lines from a descriptor, which it owns, until its end. Lines over 64 KiB end it.
class LineReader {
 public:
  virtual ~LineReader() = default;
};
/// `line` gets each line without its newline, and nothing once the end has come. It may destroy the reader.
std::unique_ptr<LineReader> read_lines(RealCore& core, int descriptor,
                                       std::function<void(std::optional<std::string>)> line);

/// Asks the kernel to end this process by `signal` when its parent ends; false where `parent` has ended already.
bool end_with_parent(int parent, int signal);
/// Lets this process and its later children open as many descriptors as the system allows it.
void raise_descriptor_limit();
/// The path of this program's file.
std::string own_program();
bool is_terminal(int descriptor);
/// None where it is not set.
std::optional<std::string> environment(const std::string& name);
/// Writes all bytes, however long that takes. Errors: closed (nobody reads), io.
Status write_descriptor(int descriptor, std::string_view bytes);
void close_descriptor(int descriptor);
/// Replaces this process by the program. Returns only on an error.
Status replace_process(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace asterism
