/* Which connection a completion is of, against a plain table: numbers that collide, the same number on two devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "rdma/core_impl.h"

enum { CONNS = 64, LANES = 2, STEPS = 100000 };

struct model {
    struct rdma_core *core;
    struct ibv_qp qps[CONNS];
    struct rdma_conn *conns[CONNS];
    bool in[CONNS];
};

static int model_start(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->core = calloc(1, sizeof *m->core);
    m->core->config.max_connections = CONNS;
    for (unsigned i = 0; i < CONNS; i++) {
        m->conns[i] = calloc(1, sizeof *m->conns[i]);
        m->conns[i]->qp = &m->qps[i];
        m->conns[i]->lane = (uint8_t)(i % LANES);
        m->qps[i].qp_num = i / LANES % 8 + (i / 16 << 23); /* few homes: long runs, around the table's end too */
    }
    return lookup_create(m->core);
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    static struct model m;
    assert_int_equal(model_start(&m), 0);
    srand(3);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % CONNS;
        struct rdma_conn *c = m.conns[i];
        assert_ptr_equal(lookup_find(m.core, c->lane, c->qp->qp_num), m.in[i] ? c : NULL);
        if (m.in[i])
            lookup_remove(m.core, c);
        else
            lookup_add(m.core, c);
        m.in[i] = !m.in[i];
        for (unsigned j = step % 50 ? CONNS : 0; j < CONNS; j++)
            assert_ptr_equal(lookup_find(m.core, m.conns[j]->lane, m.qps[j].qp_num), m.in[j] ? m.conns[j] : NULL);
    }
    assert_null(lookup_find(m.core, 5, 1));
    for (unsigned i = 0; i < CONNS; i++) free(m.conns[i]);
    free(m.core->lookup);
    free(m.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
