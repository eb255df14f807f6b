// Passwords that commands are given: never as arguments, which every user of the machine can read.
#pragma once

#include <string>

#include "base/result.h"

namespace asterism {

/// The first line of the file. `whose` is for messages: "the admin's password". Errors: those of read_file();
/// invalid_argument where it is empty or no text.
Result<std::string> read_password_file(const std::string& path, const std::string& whose);

/// Where `path` names a file, its first line; else what is typed on the terminal, unseen and, with `twice`, twice;
/// where standard input is no terminal, its next line. Errors: likewise; closed, unavailable.
Result<std::string> ask_password(const std::string& path, const std::string& whose, bool twice);

}  // namespace asterism
