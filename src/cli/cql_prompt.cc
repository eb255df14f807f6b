#include "cli/cql_shell.h"
#include "cli/output.h"
#include "runtime/real/files.h"
#include "runtime/real/terminal.h"

namespace asterism {
namespace {

/// Where what was typed is kept; empty where there is no home.
std::string history_path() {
  std::string folder;
  if (const auto state = environment("XDG_STATE_HOME"); state && state->starts_with('/'))
    folder = *state;
  else if (const auto home = environment("HOME"); home && home->starts_with('/'))
    folder = *home + "/.local/state";
  if (folder.empty()) return {};
  folder += "/asterism";
  return make_folders(folder) ? folder + "/cql_history" : std::string();
}

/// One line of a history; passwords are not kept.
std::string history_entry(std::string text) {
  for (char& c : text)
    if (c == '\n') c = ' ';
  std::string folded = text;
  for (char& c : folded) c = static_cast<char>(c | 0x20);
  return folded.contains("password") || text.contains("--") || text.contains("//") ? std::string() : text;
}

std::string prompt_of(const CqlShell& shell, const StatementSplitter& typed) {
  const std::string prompt = shell.keyspace().empty() ? "cql> " : fmt::format("cql:{}> ", printable(shell.keyspace()));
  if (typed.idle()) return prompt;
  return fmt::format("{:>{}}", "... ", prompt.size());
}

}  // namespace

int run_prompt(CqlShell& shell) {
  StatementSplitter typed;
  LineEditor::Options options;
  options.history_path = history_path();
  options.complete = [&](std::string_view line) {
    return complete_cql(std::string(typed.rest()) + std::string(line), shell.names(), shell.keyspace());
  };
  auto editor = LineEditor::open(std::move(options));
  if (!editor) {
    print_error(editor.error().message);
    return 1;
  }
  if (const auto greeting = shell.greeting()) print_line(dim(*greeting));
  while (!shell.leaving()) {
    const LineEditor::Line line = (*editor)->read(prompt_of(shell, typed));
    if (line.end == LineEditor::End::cancelled) {
      typed.clear();
      continue;
    }
    if (line.end == LineEditor::End::end) {
      print_line("");
      break;
    }
    typed.feed(line.text + "\n");
    while (!shell.leaving()) {
      const auto statement = typed.next();
      if (!statement) break;
      const std::string entry = history_entry(statement->text);
      if (!entry.empty()) (*editor)->remember(shell_command(entry).empty() ? entry + ";" : entry);
      (void)shell.run(*statement, "");
    }
    if (typed.idle()) typed.clear();
  }
  return 0;
}

}  // namespace asterism
