/* Every row of kvbench's options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "bench/options.h"
#include "tests/support/absurd.h"

static bool takes(int argc, char **argv, FILE *err)
{
    struct bench_plan plan;
    if (bench_plan_parse(&plan, argc, argv, err) != 0) return false;
    bench_plan_free(&plan);
    return true;
}

int main(void)
{
    static struct absurd_program program = {.name = "kvbench", .rows = bench_option_rows, .takes = takes};
    struct absurd_program *kvbench = &program;
    program.count = bench_option_row_count;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(absurd_on_the_command_line, kvbench),
        cmocka_unit_test_prestate(absurd_bounds_are_taken, kvbench),
        cmocka_unit_test_prestate(absurd_counts, kvbench),
    };
    return cmocka_run_group_tests_name("kvbench's options", tests, NULL, NULL);
}
