# polar_library(NAME SOURCES ... LINK ...): a static library with our flags.
function(polar_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC polar_flags polar::dpdk ${A_LINK})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()

# polar_test(NAME SOURCES ... LINK ... [TIMEOUT s] [LABELS ...] [ARGS ...]): a cmocka program run by ctest.
function(polar_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LINK;LABELS;ARGS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE polar_flags polar::dpdk polar::cmocka polar_test_support ${A_LINK})
  add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
endfunction()

# polar_fuzzer(NAME SOURCES ... LINK ...): LLVMFuzzerTestOneInput; libFuzzer under the fuzz preset, otherwise linked with a
# driver that replays the corpus folder tests/corpus/NAME and a bounded number of random mutations of it, as a ctest.
function(polar_fuzzer name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE polar_flags polar::dpdk ${A_LINK})
  if(POLAR_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_replay.c)
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_SOURCE_DIR}/tests/corpus/${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "fuzz")
  endif()
endfunction()
