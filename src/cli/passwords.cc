#include "cli/passwords.h"

#include "gateway/scram.h"
#include "gateway/websocket.h"
#include "runtime/real/files.h"
#include "runtime/real/process.h"
#include "runtime/real/terminal.h"

namespace asterism {

static Status check_password(const std::string& password, const std::string& whose) {
  if (password.empty()) return fail(ErrorCode::invalid_argument, "{} must not be empty", whose);
  if (password.size() > password_bytes_max)
    return fail(ErrorCode::invalid_argument, "{} has more than {} bytes", whose, password_bytes_max);
  if (password.contains('\0') || !is_utf8(password))
    return fail(ErrorCode::invalid_argument, "{} must be text in UTF-8", whose);
  return {};
}

Result<std::string> read_password_file(const std::string& path, const std::string& whose) {
  auto text = read_file(path, 64 << 10);
  if (!text) return fail(text.error().code, "{}: {}", whose, text.error().message);
  std::string password = text->substr(0, text->find('\n'));
  if (password.ends_with('\r')) password.pop_back();
  if (Status checked = check_password(password, whose); !checked)
    return fail(ErrorCode::invalid_argument, "{} must hold a password in its first line: {}", path,
                checked.error().message);
  return password;
}

Result<std::string> ask_password(const std::string& path, const std::string& whose, bool twice) {
  if (!path.empty()) return read_password_file(path, whose);
  std::string password;
  if (!is_terminal(0)) {
    auto line = read_input_line(password_bytes_max + 1);
    if (!line) return fail(line.error().code, "{}: {}", whose, line.error().message);
    password = std::move(*line);
  } else {
    TRY(password, read_hidden_line(whose + ": ", password_bytes_max + 1));
    if (twice) {
      TRY(const std::string again, read_hidden_line("once more: ", password_bytes_max + 1));
      if (again != password) return fail(ErrorCode::invalid_argument, "the two differ: nothing was changed");
    }
  }
  TRY_STATUS(check_password(password, whose));
  return password;
}

}  // namespace asterism
