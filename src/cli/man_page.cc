// asterism man: the manual page, made from the commands themselves.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {
namespace {

/// Text for roff: nothing in it is a request or an escape.
std::string escaped(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string type_of(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return "";
  const std::string standard = option.get_default_str();
  return " " + option.get_type_name() + (standard.empty() ? "" : "=" + standard);
}

/// "-n, --lines INT", or for a positional its name alone.
std::string heading_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_single_name();
  std::string names;
  for (const std::string& name : option.get_snames()) names += (names.empty() ? "-" : ", -") + name;
  for (const std::string& name : option.get_lnames()) names += (names.empty() ? "--" : ", --") + name;
  return names + type_of(option);
}

/// "asterism node start [OPTIONS] name"
std::string usage_of(const CLI::App& app, const std::string& command) {
  std::string usage = command + " [OPTIONS]";
  for (const CLI::Option* option : app.get_options([](const CLI::Option* each) { return each->get_positional(); })) {
    const std::string name = option->get_single_name() + (option->get_expected_max() > 1 ? "..." : "");
    usage += option->get_required() ? " " + name : " [" + name + "]";
  }
  return usage;
}

void describe(CLI::App& app, const std::string& command, std::string& page) {
  const auto commands = app.get_subcommands([](CLI::App* each) { return !each->get_group().empty(); });
  if (commands.empty()) {
    page += fmt::format(".SS \"{}\"\n{}.\n", escaped(usage_of(app, command)), escaped(app.get_description()));
    for (const bool positional : {true, false})
      for (const CLI::Option* option : app.get_options())
        if (option->get_positional() == positional && !option->get_group().empty() && option != app.get_help_ptr())
          page +=
              fmt::format(".TP\n\\fB{}\\fR\n{}\n", escaped(heading_of(*option)), escaped(option->get_description()));
    if (!app.get_footer().empty()) page += ".PP\n" + escaped(app.get_footer()) + "\n";
  }
  for (CLI::App* sub : commands) describe(*sub, command + " " + sub->get_name(), page);
}

int print_man_page(CLI::App& app) {
  std::string page = fmt::format(".TH ASTERISM 1 \"\" \"asterism {}\" \"User Commands\"\n", version());
  page +=
      ".SH NAME\nasterism \\- many computers that act as one\n"
      ".SH SYNOPSIS\n.B asterism\n.I COMMAND\n.RI [ OPTIONS ]\n"
      ".SH DESCRIPTION\n"
      "One program that stores tables on many machines, survives the loss of some of them, and speaks the protocols "
      "of\n"
      "unmodified clients: CQL first. Every command has \\fB\\-\\-help\\fR.\n"
      ".SH COMMANDS\n";
  describe(app, app.get_name(), page);
  page +=
      ".SH EXIT STATUS\n0: success. 1: failure, told on standard error. 2: wrong usage.\n"
      ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nWhere it is set, nothing is coloured.\n"
      ".SH FILES\n.TP\n.I /etc/asterism/node.toml\nSettings of the node that the service runs.\n"
      ".TP\n.I /var/lib/asterism\nWhat it stores; as a cluster's folder for \\fB\\-\\-data\\fR.\n";
  page.pop_back();
  print_line(page);
  return 0;
}

}  // namespace

void add_man(CLI::App& app, Chosen& chosen) {
  CLI::App* man = app.add_subcommand("man", "Print the manual page, in roff: asterism man | man -l -");
  man->callback([&app, &chosen] { chosen = [&app] { return print_man_page(app); }; });
}

}  // namespace asterism
