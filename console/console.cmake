# The console for the browser: TypeScript and CSS bundled by esbuild, compressed, and made a source file of the node.
# Sets CONSOLE_SOURCE. Included by src/node.
find_program(ESBUILD esbuild REQUIRED)
find_program(GZIP gzip REQUIRED)
set(console_folder ${CMAKE_SOURCE_DIR}/console)
set(console_out ${CMAKE_BINARY_DIR}/generated/console)
set(CONSOLE_SOURCE ${console_out}/console_files.cc)
file(GLOB console_sources CONFIGURE_DEPENDS ${console_folder}/src/*.ts ${console_folder}/src/*.css
     ${console_folder}/index.html ${console_folder}/icon.svg)
add_custom_command(
  OUTPUT ${CONSOLE_SOURCE}
  COMMAND ${ESBUILD} ${console_folder}/src/console.ts ${console_folder}/src/console.css --bundle --minify
          --target=es2021 --charset=utf8 --log-level=warning --outdir=${console_out}
  COMMAND ${CMAKE_COMMAND} -DIN=${console_folder} -DOUT=${console_out} -DGZIP=${GZIP} -DSOURCE=${CONSOLE_SOURCE}
          -P ${console_folder}/embed.cmake
  DEPENDS ${console_sources} ${console_folder}/embed.cmake
  VERBATIM)
