# While installing: what the program tells of itself. Needs `program` and `changes`.
set(root "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/share")

# put(PATH ARGUMENT…): what the program prints with these arguments.
function(put path)
  get_filename_component(folder ${root}/${path} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  execute_process(COMMAND ${program} ${ARGN} OUTPUT_FILE ${root}/${path} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Without a name and a time, so that the same files give the same package.
function(compress path)
  execute_process(COMMAND gzip -9nf ${root}/${path} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

put(man/man1/asterism.1 man)
compress(man/man1/asterism.1)
put(bash-completion/completions/asterism completion bash)
put(zsh/vendor-completions/_asterism completion zsh)
put(fish/vendor_completions.d/asterism.fish completion fish)
configure_file(${changes} ${root}/doc/asterism/changelog COPYONLY)
compress(doc/asterism/changelog)
