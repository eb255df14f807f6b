# Compresses the console's files and writes them into one C++ source (src/node/console_files.h).
set(text "// Made by console/embed.cmake.\n#include \"node/console_files.h\"\n\nnamespace asterism {\n\n")
set(table "")
set(index 0)
foreach(entry
        "/|text/html; charset=utf-8|${IN}/index.html"
        "/console.js|text/javascript; charset=utf-8|${OUT}/console.js"
        "/console.css|text/css; charset=utf-8|${OUT}/console.css"
        "/icon.svg|image/svg+xml|${IN}/icon.svg")
  string(REPLACE "|" ";" fields "${entry}")
  list(GET fields 0 path)
  # The type has a semicolon of its own.
  string(REGEX REPLACE "^[^|]*\\|([^|]*)\\|.*$" "\\1" type "${entry}")
  string(REGEX REPLACE "^.*\\|" "" file "${entry}")
  get_filename_component(name ${file} NAME)
  execute_process(COMMAND ${GZIP} -9 -n -c ${file} OUTPUT_FILE ${OUT}/${name}.gz COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${OUT}/${name}.gz bytes HEX)
  string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
  # A literal may be long, but not a line of it.
  string(REGEX REPLACE "((\\\\x..)+)" "\\1" bytes "${bytes}")
  string(LENGTH "${bytes}" length)
  math(EXPR size "${length} / 4")
  set(lines "")
  set(at 0)
  while(at LESS length)
    string(SUBSTRING "${bytes}" ${at} 4000 line)
    string(APPEND lines "    \"${line}\"\n")
    math(EXPR at "${at} + 4000")
  endwhile()
  string(APPEND text "static constexpr char file_${index}[] =\n${lines}    ;\n\n")
  string(APPEND table "    {\"${path}\", \"${type}\", {file_${index}, ${size}}},\n")
  math(EXPR index "${index} + 1")
endforeach()
string(APPEND text "static constexpr ConsoleFile files[] = {\n${table}};\n\n"
       "std::span<const ConsoleFile> console_files() { return files; }\n\n}  // namespace asterism\n")
file(WRITE ${SOURCE} "${text}")
