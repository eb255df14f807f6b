# asterism_folder(NAME [DEPENDS folder…] [LIBRARIES target…])
#
# One static library per folder of src/, made of every .cc below it except tests and fuzzers.
# x_test.cc joins the test binary NAME_test; x_fuzz.cc becomes the fuzzer NAME_x_fuzz.
# .proto files are compiled; their headers are included as "NAME/x.pb.h".
function(asterism_folder name)
  cmake_parse_arguments(arg "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cc)
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS *_test.cc)
  file(GLOB_RECURSE fuzzers CONFIGURE_DEPENDS *_fuzz.cc)
  file(GLOB_RECURSE protos CONFIGURE_DEPENDS *.proto)
  list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/main.cc ${tests} ${fuzzers})

  set(generated)
  foreach(proto IN LISTS protos)
    file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR}/src ${proto})
    string(REGEX REPLACE "\\.proto$" "" stem ${relative})
    set(out ${CMAKE_BINARY_DIR}/generated/${stem})
    add_custom_command(
      OUTPUT ${out}.pb.cc ${out}.pb.h
      COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR}/src --cpp_out=${CMAKE_BINARY_DIR}/generated ${relative}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/src
      DEPENDS ${proto} VERBATIM)
    list(APPEND generated ${out}.pb.cc ${out}.pb.h)
    set_source_files_properties(${out}.pb.cc PROPERTIES COMPILE_OPTIONS "-Wno-error;-w")
  endforeach()

  if(sources OR generated)
    add_library(asterism_${name} STATIC ${sources} ${generated})
    set(scope PUBLIC)
  else()
    add_library(asterism_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  list(TRANSFORM arg_DEPENDS PREPEND asterism_)
  target_include_directories(asterism_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_include_directories(asterism_${name} SYSTEM ${scope} ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(asterism_${name} ${scope} ${arg_DEPENDS} ${arg_LIBRARIES})

  if(tests AND NOT ASTERISM_FUZZERS)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE asterism_${name} GTest::gmock GTest::gtest GTest::gtest_main)
    add_test(NAME unit.${name} COMMAND ${name}_test --gtest_brief=1 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(unit.${name} PROPERTIES TIMEOUT 300 LABELS unit)
  endif()
  if(ASTERISM_FUZZERS)
    foreach(fuzzer IN LISTS fuzzers)
      get_filename_component(stem ${fuzzer} NAME_WE)
      add_executable(${name}_${stem} ${fuzzer})
      target_link_libraries(${name}_${stem} PRIVATE asterism_${name})
      target_link_options(${name}_${stem} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()
