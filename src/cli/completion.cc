// Completion scripts, made from the commands themselves.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {
namespace {

struct Words {
  std::string command;  // "node start"; empty for the program itself
  std::vector<std::string> subcommands, options;
};

void collect(CLI::App& app, const std::string& command, std::vector<Words>& out) {
  Words words{command, {}, {}};
  for (CLI::App* sub : app.get_subcommands([](CLI::App* each) { return !each->get_group().empty(); })) {
    words.subcommands.push_back(sub->get_name());
    collect(*sub, command.empty() ? sub->get_name() : command + " " + sub->get_name(), out);
  }
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) words.options.push_back("--" + name);
  out.push_back(std::move(words));
}

/// Options whose value is a file.
constexpr std::string_view file_options[] = {"--admin-password-file", "--ca",     "--certificate", "--file", "--key",
                                             "--password-file",       "--rejects"};

bool takes_file(std::string_view option) { return std::ranges::find(file_options, option) != std::end(file_options); }

/// Lines of a shell's `case` over the command that was typed so far, which both shells read alike.
std::string cases_of(const std::vector<Words>& commands) {
  std::string cases;
  for (const Words& words : commands)
    cases += fmt::format("      \"{}\") found=\"{} {}\"; break ;;\n", words.command, fmt::join(words.subcommands, " "),
                         fmt::join(words.options, " "));
  // What is typed behind a command is no command.
  return "  while :; do\n"
         "    case $command in\n" +
         cases +
         "      *\" \"*) command=\"${command% *}\" ;;\n"
         "      *) break ;;\n"
         "    esac\n"
         "  done\n";
}

std::string bash_script(const std::vector<Words>& commands) {
  return "_asterism() {\n"
         "  local word command=\"\" found=\"\"\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case $word in -*) break ;; *) command=\"${command:+$command }$word\" ;; esac\n"
         "  done\n"
         "  case ${COMP_WORDS[COMP_CWORD-1]} in\n"
         "    --data) COMPREPLY=($(compgen -d -- \"${COMP_WORDS[COMP_CWORD]}\")); return ;;\n" +
         fmt::format("    {}) COMPREPLY=($(compgen -f -- \"${{COMP_WORDS[COMP_CWORD]}}\")); return ;;\n",
                     fmt::join(file_options, "|")) +
         "  esac\n" + cases_of(commands) +
         "  COMPREPLY=($(compgen -W \"$found\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "  case $command in\n"
         "    import|export|restore) COMPREPLY+=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
         "  esac\n"
         "}\n"
         "complete -F _asterism asterism ./asterism";
}

/// For `source` as well as for a folder of completions.
std::string zsh_script(const std::vector<Words>& commands) {
  return "#compdef asterism ./asterism\n"
         "_asterism() {\n"
         "  local word command=\"\" found=\"\"\n"
         "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
         "    case $word in -*) break ;; *) command=\"${command:+$command }$word\" ;; esac\n"
         "  done\n"
         "  case ${words[CURRENT-1]} in\n"
         "    --data) _files -/; return ;;\n" +
         fmt::format("    {}) _files; return ;;\n", fmt::join(file_options, "|")) + "  esac\n" + cases_of(commands) +
         "  compadd -- ${=found}\n"
         "}\n"
         "if [[ ${funcstack[1]} = _asterism ]]; then\n"
         "  _asterism \"$@\"\n"
         "else\n"
         "  compdef _asterism asterism ./asterism\n"
         "fi";
}

std::string fish_script(const std::vector<Words>& commands) {
  std::string script = "complete -c asterism -f";
  for (const Words& words : commands) {
    std::string seen = words.command;
    if (const size_t space = seen.find(' '); space != std::string::npos)
      seen.replace(space, 1, "; and __fish_seen_subcommand_from ");
    const std::string when = words.command.empty() ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + seen;
    for (const std::string& sub : words.subcommands)
      script += fmt::format("\ncomplete -c asterism -n '{}' -a {}", when, sub);
    for (const std::string& option : words.options)
      script += fmt::format("\ncomplete -c asterism -n '{}' -l {}{}", when, option.substr(2),
                            option == "--data"   ? " -r -a '(__fish_complete_directories)'"
                            : takes_file(option) ? " -r -F"
                                                 : "");
  }
  script += "\ncomplete -c asterism -n '__fish_seen_subcommand_from import export restore' -F";
  return script;
}

int print_completion(CLI::App& app, const std::string& shell) {
  std::vector<Words> commands;
  collect(app, "", commands);
  if (shell == "fish")
    print_line(fish_script(commands));
  else if (shell == "zsh")
    print_line(zsh_script(commands));
  else
    print_line(bash_script(commands));
  return 0;
}

}  // namespace

void add_completion(CLI::App& app, Chosen& chosen) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      app.add_subcommand("completion", "Print a script that completes this command in a shell: source it there");
  completion->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([shell, &app, &chosen] { chosen = [shell, &app] { return print_completion(app, *shell); }; });
}

}  // namespace asterism
