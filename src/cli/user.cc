// asterism user: roles and what they may do, through statements that a node of this machine runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/passwords.h"
#include "gateway/base64.h"

namespace asterism {
namespace {

constexpr Duration statement_limit = 15s;
/// Pages of a list.
constexpr int pages_most = 1000;

struct UserOptions {
  std::string data = ClusterOptions().data;
  std::string as = admin_role, login_file;
  std::string name, password_file;
  std::vector<std::string> permissions;
  std::string on, role;
  bool superuser = false, no_login = false, json = false;
};

std::string identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

std::string literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + '\'';
}

/// Someone's session: every statement logs in anew.
class Session {
 public:
  static Result<Session> begin(const UserOptions& options) {
    TRY(const auto answers, ask_status(options.data));
    if (std::ranges::none_of(answers, [](const NodeAnswer& answer) { return answer.config.authentication; }))
      return fail(
          ErrorCode::unavailable,
          "authentication is off, so that there are no users: stop the cluster, then asterism up --authentication "
          "--data {}",
          options.data);
    if (options.as.contains(':'))
      return fail(ErrorCode::invalid_argument, "--as: a name with a colon cannot log in over HTTP");
    for (const NodeAnswer& answer : answers) {
      if (!answer.status || text_member(*answer.status, "state") != "serving") continue;
      TRY(const std::string password, ask_password(options.login_file, "password of " + options.as, false));
      return Session(answer.config, options.as, "Basic " + to_base64(options.as + ":" + password));
    }
    return fail(ErrorCode::unavailable, "no node serves: start the cluster with asterism up");
  }

  /// Errors: what the node says of the statement, in its words.
  Result<boost::json::object> run(const std::string& statement, const std::string& page = "") const {
    boost::json::object question{{"statement", statement}, {"page_size", 1000}};
    if (!page.empty()) question["page"] = page;
    TRY(const HttpResponse response,
        call_node(node_, {.method = HttpMethod::post,
                          .target = "/cql",
                          .headers = {{"Content-Type", "application/json"}, {"Authorization", authorization_}},
                          .body = boost::json::serialize(question),
                          .limit = statement_limit}));
    if (response.status == 401)
      return fail(ErrorCode::unauthorized, "{} refused {}: the name or the password is wrong, or it may not log in",
                  node_.name, as_);
    if (response.status != 200)
      return fail(ErrorCode::unavailable, "{} answered {}: {}", node_.name, response.status,
                  printable(std::string_view(response.body).substr(0, 200)));
    boost::json::error_code error;
    boost::json::value value = boost::json::parse(response.body, error);
    if (error || !value.is_object()) return fail(ErrorCode::corrupt, "{} answered no JSON object", node_.name);
    boost::json::object answer = std::move(value.as_object());
    if (text_member(answer, "kind") == "error")
      return fail(ErrorCode::invalid_argument, "{}", text_member(answer, "message"));
    return answer;
  }

  /// All rows, each by the names of its columns.
  Result<std::vector<std::map<std::string, std::string>>> rows(const std::string& statement) const {
    std::vector<std::map<std::string, std::string>> out;
    std::string page;
    for (int i = 0; i < pages_most; ++i) {
      TRY(const boost::json::object answer, run(statement, page));
      const boost::json::value* columns = answer.if_contains("columns");
      const boost::json::value* found = answer.if_contains("rows");
      if (!columns || !columns->is_array() || !found || !found->is_array()) return out;
      for (const boost::json::value& row : found->get_array()) {
        auto& made = out.emplace_back();
        for (size_t k = 0; row.is_array() && k < std::min(row.get_array().size(), columns->get_array().size()); ++k) {
          const boost::json::value& column = columns->get_array()[k];
          const boost::json::value& cell = row.get_array()[k];
          if (column.is_object() && cell.is_string())
            made[text_member(column.get_object(), "name")] = printable(std::string_view(cell.get_string()));
        }
      }
      page = text_member(answer, "next");
      if (page.empty()) return out;
    }
    return fail(ErrorCode::too_large, "there are too many rows to list");
  }

 private:
  Session(NodeConfig node, std::string as, std::string authorization)
      : node_(std::move(node)), as_(std::move(as)), authorization_(std::move(authorization)) {}

  NodeConfig node_;
  std::string as_, authorization_;
};

void tell(const UserOptions& options, const char* event, const std::string& words) {
  print_line(options.json ? JsonLine().text("event", event).text("name", options.name).str() : words);
}

Status add(const UserOptions& options) {
  TRY(const Session session, Session::begin(options));
  std::string statement = fmt::format("CREATE ROLE {} WITH LOGIN = {} AND SUPERUSER = {}", identifier(options.name),
                                      !options.no_login, options.superuser);
  if (!options.no_login || !options.password_file.empty()) {
    TRY(const std::string password, ask_password(options.password_file, "new password of " + options.name, true));
    statement += " AND PASSWORD = " + literal(password);
  }
  TRY_STATUS(session.run(statement));
  tell(options, "user_added", options.name + " was added");
  return {};
}

Status change_password(const UserOptions& options) {
  TRY(const Session session, Session::begin(options));
  TRY(const std::string password, ask_password(options.password_file, "new password of " + options.name, true));
  TRY_STATUS(session.run(fmt::format("ALTER ROLE {} WITH PASSWORD = {}", identifier(options.name), literal(password))));
  tell(options, "password_changed", options.name + " has a new password");
  return {};
}

Status remove(const UserOptions& options) {
  TRY(const Session session, Session::begin(options));
  TRY_STATUS(session.run("DROP ROLE " + identifier(options.name)));
  tell(options, "user_removed", options.name + " was removed");
  return {};
}

Status list_permissions(const Session& session, const UserOptions& options) {
  TRY(auto rows, session.rows("LIST ALL PERMISSIONS OF " + identifier(options.name)));
  boost::json::array permissions;
  if (!options.json) print_line(dim(fmt::format("  {:<20}{:<34}{}", "role", "resource", "permission")));
  for (auto& row : rows) {
    if (options.json)
      permissions.push_back({{"role", row["role"]}, {"resource", row["resource"]}, {"permission", row["permission"]}});
    else
      print_line(fmt::format("  {:<20}{:<34}{}", row["role"], row["resource"], row["permission"]));
  }
  if (options.json)
    print_line(
        boost::json::serialize(boost::json::object{{"name", options.name}, {"permissions", std::move(permissions)}}));
  return {};
}

Status list(const UserOptions& options) {
  TRY(const Session session, Session::begin(options));
  if (!options.name.empty()) return list_permissions(session, options);
  TRY(auto rows, session.rows("LIST ROLES"));
  boost::json::array users;
  if (!options.json) print_line(dim(fmt::format("  {:<24}{:<9}{}", "name", "login", "superuser")));
  const auto is_set = [](const std::string& cell) { return cell == "True" || cell == "true"; };
  for (auto& row : rows) {
    const bool login = is_set(row["login"]), superuser = is_set(row["super"]);
    if (options.json)
      users.push_back({{"name", row["role"]}, {"login", login}, {"superuser", superuser}});
    else
      print_line(fmt::format("  {:<24}{:<9}{}", row["role"], login ? "yes" : "no", superuser ? "yes" : "no"));
  }
  if (options.json) print_line(boost::json::serialize(boost::json::object{{"users", std::move(users)}}));
  return {};
}

/// "shop", "shop.orders", "all keyspaces", "all roles", "role ada" as CQL names them.
Result<std::string> resource_of(const std::string& on) {
  if (on == "all keyspaces") return "ALL KEYSPACES";
  if (on == "all roles") return "ALL ROLES";
  if (on.starts_with("role ") && on.size() > 5) return "ROLE " + identifier(on.substr(5));
  const size_t dot = on.find('.');
  if (on.empty() || dot == 0 || dot + 1 == on.size() || on.find('.', dot + 1) != std::string::npos || on.contains(' '))
    return fail(ErrorCode::invalid_argument,
                "--on takes KEYSPACE, KEYSPACE.TABLE, \"all keyspaces\", \"all roles\" or \"role NAME\"");
  if (dot == std::string::npos) return "KEYSPACE " + identifier(on);
  return "TABLE " + identifier(on.substr(0, dot)) + "." + identifier(on.substr(dot + 1));
}

/// The statements of user grant and user revoke.
Result<std::vector<std::string>> grants(const UserOptions& options, bool grant) {
  const std::string verb = grant ? "GRANT " : "REVOKE ", to = (grant ? " TO " : " FROM ") + identifier(options.name);
  std::vector<std::string> statements;
  if (options.permissions.empty() == options.role.empty())
    return fail(ErrorCode::invalid_argument, "name permissions and --on what, or else --role");
  if (!options.role.empty()) statements.push_back(verb + identifier(options.role) + to);
  for (const std::string& permission : options.permissions) {
    TRY(const std::string resource, resource_of(options.on));
    statements.push_back(verb + permission + " ON " + resource + to);
  }
  return statements;
}

Status change_grants(const UserOptions& options, bool grant) {
  TRY(const auto statements, grants(options, grant));
  TRY(const Session session, Session::begin(options));
  for (const std::string& statement : statements) TRY_STATUS(session.run(statement));
  const std::string what =
      options.role.empty() ? fmt::format("{} on {}", fmt::join(options.permissions, ", "), options.on) : options.role;
  tell(options, grant ? "granted" : "revoked",
       grant ? fmt::format("{} now has {}", options.name, what)
             : fmt::format("{} no longer has {}", options.name, what));
  return {};
}

Status grant(const UserOptions& options) { return change_grants(options, true); }
Status revoke(const UserOptions& options) { return change_grants(options, false); }

std::shared_ptr<UserOptions> add_command(CLI::App& user, Chosen& chosen, const char* name, const char* help,
                                         Status (*run)(const UserOptions&), CLI::App*& command) {
  auto options = std::make_shared<UserOptions>();
  command = user.add_subcommand(name, help);
  auto* who = command->add_option("name", options->name, run == list ? "Only what this one may do" : "Who");
  if (run != list) who->required();
  command->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  command->add_option("--as", options->as, "Who asks for it")->capture_default_str();
  command->add_option("--login-file", options->login_file, "Its first line is the password of who asks");
  command->add_flag("--json", options->json, "Print one line of JSON");
  command->footer(
      "Passwords that no file holds are asked for on the terminal; where standard input is none, they are its lines:\n"
      "first that of who asks, then the new one.");
  when_chosen(*command, chosen, [options, run] { return run(*options); });
  return options;
}

}  // namespace

void add_user(CLI::App& app, Chosen& chosen) {
  CLI::App* user = app.add_subcommand("user", "Work with users and what they may do");
  user->require_subcommand(1);
  CLI::App* command = nullptr;
  auto adding = add_command(*user, chosen, "add", "Make a user who logs in with a password", add, command);
  command->add_flag("--superuser", adding->superuser, "It may do everything");
  command->add_flag("--no-login", adding->no_login, "A role for others, with no password");
  command->add_option("--password-file", adding->password_file, "Its first line is the new password");
  add_command(*user, chosen, "list", "Show all users, or what one of them may do", list, command);
  auto changing = add_command(*user, chosen, "passwd", "Give a user a new password", change_password, command);
  command->add_option("--password-file", changing->password_file, "Its first line is the new password");
  add_command(*user, chosen, "remove", "Remove a user and all that it was granted", remove, command);
  for (const bool granting : {true, false}) {
    auto options =
        add_command(*user, chosen, granting ? "grant" : "revoke",
                    granting ? "Let a user do something, or have what a role has" : "Take back what was granted",
                    granting ? grant : revoke, command);
    command->add_option("permission", options->permissions, "select, modify, create, alter, drop, authorize, all, …")
        ->transform(
            CLI::IsMember({"all", "alter", "authorize", "create", "describe", "drop", "execute", "modify", "select"},
                          CLI::ignore_case));
    command->add_option("--on", options->on,
                        "KEYSPACE, KEYSPACE.TABLE, \"all keyspaces\", \"all roles\" or \"role NAME\"");
    command->add_option("--role", options->role, "Instead of permissions: all that this role has");
  }
}

}  // namespace asterism
