#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstring>

#include "runtime/real/process.h"
#include "runtime/real/terminal.h"

namespace asterism {
namespace {

constexpr size_t shown_words_max = 200;

/// The longest text that all words begin with, cut between characters.
std::string common_start(const std::vector<std::string>& words) {
  std::string start = words.front();
  for (const std::string& word : words)
    start.resize(static_cast<size_t>(std::ranges::mismatch(start, word).in1 - start.begin()));
  while (!start.empty() && start.size() < words.front().size() &&
         (static_cast<uint8_t>(words.front()[start.size()]) & 0xc0) == 0x80)
    start.pop_back();
  return start;
}

std::string in_columns(const std::vector<std::string>& words, size_t width) {
  const size_t count = std::min(words.size(), shown_words_max);
  size_t widest = 0;
  for (size_t i = 0; i < count; ++i) widest = std::max(widest, words[i].size() + 2);
  const size_t columns = std::max<size_t>(1, width / widest), lines = (count + columns - 1) / columns;
  std::string text = "\n";
  for (size_t line = 0; line < lines; ++line) {
    for (size_t i = line; i < count; i += lines)
      text += i + lines < count ? fmt::format("{:{}}", words[i], widest) : words[i];
    text += '\n';
  }
  if (count < words.size()) text += fmt::format("… and {} more\n", words.size() - count);
  return text;
}

class Editor final : public LineEditor {
 public:
  explicit Editor(Options options) : options_(std::move(options)) {}

  bool open() {
    // Line editing counts in characters; only what they are is taken from the environment.
    if (const char* set = std::setlocale(LC_CTYPE, ""); !set || !std::strcmp(set, "C") || !std::strcmp(set, "POSIX"))
      std::setlocale(LC_CTYPE, "C.UTF-8");
    edit_ = el_init("asterism", stdin, stdout, stderr);
    history_ = history_init();
    if (!edit_ || !history_) return false;
    HistEvent event;
    history(history_, &event, H_SETSIZE, options_.history_lines);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!options_.history_path.empty()) history(history_, &event, H_LOAD, options_.history_path.c_str());
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_PROMPT, &Editor::prompt_of);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 0);
    el_set(edit_, EL_HIST, history, history_);
    // Ctrl-C is a key of the editor, not a signal.
    el_set(edit_, EL_SETTY, "-d", "-isig", nullptr);
    el_set(edit_, EL_ADDFN, "complete-word", "complete the word before the cursor", &Editor::complete_key);
    el_set(edit_, EL_ADDFN, "cancel-line", "give up what was typed", &Editor::cancel_key);
    el_set(edit_, EL_BIND, "\t", "complete-word", nullptr);
    el_set(edit_, EL_BIND, "^C", "cancel-line", nullptr);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    return true;
  }

  ~Editor() override {
    if (edit_) el_end(edit_);
    if (history_) history_end(history_);
  }

  Line read(const std::string& prompt) override {
    prompt_ = prompt;
    cancelled_ = false;
    int count = 0;
    // Before the prompt is shown: a key that answers it must not meet the terminal's own meaning of Ctrl-C and Ctrl-D.
    el_set(edit_, EL_PREP_TERM, 1);
    const char* text = el_gets(edit_, &count);
    el_set(edit_, EL_PREP_TERM, 0);
    if (cancelled_) return {End::cancelled, {}};
    if (text == nullptr || count <= 0) return {End::end, {}};
    std::string line(text, static_cast<size_t>(count));
    if (line.ends_with('\n')) line.pop_back();
    return {End::line, std::move(line)};
  }

  void remember(const std::string& entry) override {
    HistEvent event;
    history(history_, &event, H_ENTER, entry.c_str());
    if (!options_.history_path.empty()) history(history_, &event, H_SAVE, options_.history_path.c_str());
  }

 private:
  static Editor& of(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<Editor*>(self);
  }
  static char* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }

  static unsigned char cancel_key(EditLine* edit, int) {
    of(edit).cancelled_ = true;
    (void)write_descriptor(1, "^C\n");
    return CC_NEWLINE;
  }

  static unsigned char complete_key(EditLine* edit, int) {
    const Editor& self = of(edit);
    const LineInfo* line = el_line(edit);
    const std::string before(line->buffer, line->cursor);
    if (!self.options_.complete) return CC_ERROR;
    const Completion found = self.options_.complete(before);
    if (found.words.empty()) return CC_ERROR;
    std::string start = common_start(found.words);
    if (found.words.size() == 1 && !start.ends_with('.') && !start.ends_with(';')) start += ' ';
    const std::string typed = before.substr(before.size() - std::min(found.replaces, before.size()));
    if (start.size() > typed.size() || (!start.empty() && found.words.size() == 1)) {
      if (!typed.empty()) el_deletestr(edit, static_cast<int>(characters(typed)));
      return el_insertstr(edit, start.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    (void)write_descriptor(1, in_columns(found.words, terminal_columns(1).value_or(80)));
    return CC_REDISPLAY;
  }

  static size_t characters(std::string_view text) {
    return static_cast<size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
  }

  Options options_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  bool cancelled_ = false;
};

}  // namespace

Result<std::unique_ptr<LineEditor>> LineEditor::open(Options options) {
  auto editor = std::make_unique<Editor>(std::move(options));
  if (!editor->open()) return fail(ErrorCode::io, "the terminal's lines cannot be edited");
  return editor;
}

}  // namespace asterism
