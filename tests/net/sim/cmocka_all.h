/* cmocka and what its header wants before it. */
#ifndef POLAR_TESTS_NET_SIM_CMOCKA_ALL_H
#define POLAR_TESTS_NET_SIM_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
