# Every dependency by pkg-config, each with the Debian package that brings it when it is missing.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# polar_dependency(NAME MODULE DEBIAN-PACKAGE): imported target polar::NAME
function(polar_dependency name module package)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET ${module})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "pkg-config finds no '${module}': install Debian's package ${package} (apt-get install ${package})")
  endif()
  add_library(polar::${name} ALIAS PkgConfig::${name})
endfunction()

polar_dependency(inih inih libinih-dev)
polar_dependency(jemalloc jemalloc libjemalloc-dev)
polar_dependency(xxhash libxxhash libxxhash-dev)
polar_dependency(bpf libbpf libbpf-dev)
if(POLAR_TESTS)
  polar_dependency(cmocka cmocka libcmocka-dev)
endif()

# DPDK's own -march would win over ours and its flags must not be split: taken by hand.
pkg_check_modules(dpdk QUIET libdpdk)
if(NOT dpdk_FOUND)
  message(FATAL_ERROR "pkg-config finds no 'libdpdk': install Debian's package libdpdk-dev (apt-get install libdpdk-dev)")
endif()
add_library(polar_dpdk INTERFACE)
target_include_directories(polar_dpdk SYSTEM INTERFACE ${dpdk_INCLUDE_DIRS})
target_compile_options(polar_dpdk INTERFACE -include rte_config.h -march=${POLAR_MARCH})
target_link_libraries(polar_dpdk INTERFACE rte_ethdev rte_mbuf rte_mempool rte_ring rte_eal rte_kvargs rte_net)
target_link_directories(polar_dpdk INTERFACE ${dpdk_LIBRARY_DIRS})
add_library(polar::dpdk ALIAS polar_dpdk)
