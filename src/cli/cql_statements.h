// CQL as it is typed: cut into statements, and completed. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/real/terminal.h"

namespace asterism {

/// Cuts text into statements at semicolons outside of strings, comments and BEGIN BATCH … APPLY BATCH. Commands of the
/// shell (HELP, PAGING 10) end at their line's end too.
class StatementSplitter {
 public:
  struct Statement {
    std::string text;     // without its semicolon, from its first token
    uint32_t line = 1;    // of the first token, in everything fed
    uint32_t column = 1;  // likewise, in bytes
  };
  void feed(std::string_view text) { text_ += text; }
  /// With `last`, what is left is a statement too.
  std::optional<Statement> next(bool last = false);
  /// Nothing but blanks and whole comments is waiting.
  bool idle() const;
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  void clear();

 private:
  void drop(size_t end);

  std::string text_;
  size_t at_ = 0;
  uint32_t line_ = 1, column_ = 1;  // of text_[at_]
};

/// Whether the shell runs it itself: the first word in capitals, such as "HELP"; empty where the server does.
std::string shell_command(std::string_view statement);

/// Names as they are written in CQL, quoted where they must be.
struct SchemaNames {
  using Columns = std::vector<std::string>;
  std::map<std::string, std::map<std::string, Columns>> keyspaces;
};

/// What may stand at the end of `statement`, which is typed up to there.
Completion complete_cql(std::string_view statement, const SchemaNames& names, const std::string& keyspace);

}  // namespace asterism
