# Compiler settings that hold for every target. Warnings are errors and assertions stay on.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Asterism builds with clang 19 (docs/decisions/001-toolchain.md): run ./asterism, or cmake --preset release")
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all")
set(CMAKE_EXE_LINKER_FLAGS_SANITIZE "-fsanitize=address,undefined")
set(CMAKE_C_FLAGS_SANITIZE "${CMAKE_CXX_FLAGS_SANITIZE}")

add_compile_options(-Wall -Wextra -Wshadow -Woverloaded-virtual -Wimplicit-fallthrough -Werror
                    -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
add_link_options(-fuse-ld=lld-19)

# The release build is optimised by a profile of what nodes do under load (docs/decisions/024-profile.md), which
# cmake/profile makes with a build that counts. What has changed since then is compiled as without one.
set(profile_names "SHELL:-mllvm -static-func-full-module-prefix=false")  # the same in every folder
if(ASTERISM_COUNTING)
  add_compile_options(-fprofile-generate ${profile_names})
  add_link_options(-fprofile-generate)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/profile.tar.xz)
  file(SHA256 ${CMAKE_CURRENT_LIST_DIR}/profile.tar.xz profile_hash)
  string(SUBSTRING ${profile_hash} 0 12 profile_hash)
  # Named by its content, so that another one compiles everything again.
  set(profile profile-${profile_hash}.profdata)
  if(NOT EXISTS ${CMAKE_BINARY_DIR}/${profile})
    file(ARCHIVE_EXTRACT INPUT ${CMAKE_CURRENT_LIST_DIR}/profile.tar.xz DESTINATION ${CMAKE_BINARY_DIR})
    file(RENAME ${CMAKE_BINARY_DIR}/asterism.profdata ${CMAKE_BINARY_DIR}/${profile})
  endif()
  add_compile_options(-fprofile-use=${profile} -Wno-profile-instr-out-of-date -Wno-profile-instr-unprofiled
                      -Wno-backend-plugin ${profile_names})
  # Objects hold code and, for whom optimise_whole() names, what the linker needs to compile them together.
  add_compile_options(-flto=thin -ffat-lto-objects)
endif()

# The program is optimised across its sources as it is linked. Tests are not: they link twenty times sooner.
function(optimise_whole target)
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT ASTERISM_COUNTING)
    target_link_options(${target} PRIVATE -flto=thin -ffat-lto-objects
                        -Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/linked,--thinlto-cache-policy=cache_size_bytes=500m)
  endif()
endfunction()

# Fuzzers need coverage feedback from the code they exercise.
if(ASTERISM_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
