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
  target_link_options(${name} PRIVATE -fno-lto)
  add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
endfunction()

# polar_fuzzer(NAME SOURCES ... LINK ... [MUTATOR FILE.c]): LLVMFuzzerTestOneInput, linked with a driver that replays the
# corpus folder tests/corpus/NAME and a bounded number of random mutations of it, as a ctest. Under the fuzz preset it is
# libFuzzer's, with the mutations of MUTATOR beside its own, and a ctest of the folder build/fuzz/fuzzers runs it for
# POLAR_FUZZ_SECONDS from that corpus on; what it finds on the way lies in that folder.
function(polar_fuzzer name)
  cmake_parse_arguments(A "" "MUTATOR" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE polar_flags polar::dpdk ${A_LINK})
  target_link_options(${name} PRIVATE -fno-lto)
  if(POLAR_FUZZ)
    target_sources(${name} PRIVATE ${A_MUTATOR})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    polar_fuzzer_run(${name})
  else()
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_replay.c)
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_SOURCE_DIR}/tests/corpus/${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "fuzz")
  endif()
endfunction()

set(POLAR_FUZZ_SECONDS 60 CACHE STRING "How long each fuzzer of the fuzz preset runs as a test")
if(POLAR_FUZZ)
  set(POLAR_FUZZERS ${CMAKE_BINARY_DIR}/fuzzers)
  file(WRITE ${POLAR_FUZZERS}/CTestTestfile.cmake "")
  add_custom_target(fuzzers) # all of them
endif()

function(polar_fuzzer_run name)
  add_dependencies(fuzzers ${name})
  file(MAKE_DIRECTORY ${POLAR_FUZZERS}/${name})
  math(EXPR limit "${POLAR_FUZZ_SECONDS} + 240")
  file(APPEND ${POLAR_FUZZERS}/CTestTestfile.cmake
    "add_test(${name}_${POLAR_FUZZ_SECONDS}s \"${CMAKE_CURRENT_BINARY_DIR}/${name}\" -max_total_time=${POLAR_FUZZ_SECONDS} -timeout=30 "
    "-verbosity=0 -print_final_stats=1 -artifact_prefix=${POLAR_FUZZERS}/${name}- ${POLAR_FUZZERS}/${name} "
    "${CMAKE_SOURCE_DIR}/tests/corpus/${name})\n"
    "set_tests_properties(${name}_${POLAR_FUZZ_SECONDS}s PROPERTIES TIMEOUT ${limit} LABELS fuzz)\n")
endfunction()
