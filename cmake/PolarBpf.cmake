# polar_bpf_object(TARGET NAME SOURCE): compiles a BPF program and links its object file into TARGET as the bytes NAME, with
# their count NAME_bytes, declared in net/NAME.h. Without clang the count is 0, and what needs the program says so when asked.
find_program(POLAR_BPF_CLANG clang DOC "Compiles the BPF programs")
if(NOT POLAR_BPF_CLANG)
  message(STATUS "No clang: built without BPF programs (option share-address on AF_XDP); install Debian's package clang")
endif()
set(POLAR_EMBED ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)

function(polar_bpf_object target name source)
  set(c ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
  if(POLAR_BPF_CLANG)
    add_custom_command(OUTPUT ${object}
      COMMAND ${POLAR_BPF_CLANG} -target bpf -O2 -g -Wall -Wextra -Werror -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
              -fdebug-compilation-dir=. -I${CMAKE_SOURCE_DIR} -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
              -MD -MF ${object}.d -MT ${object} -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d VERBATIM)
  else()
    file(WRITE ${object} "")
  endif()
  add_custom_command(OUTPUT ${c} COMMAND ${CMAKE_COMMAND} -DIN=${object} -DOUT=${c} -DNAME=${name} -P ${POLAR_EMBED}
                     DEPENDS ${object} ${POLAR_EMBED} VERBATIM)
  target_sources(${target} PRIVATE ${c})
endfunction()
