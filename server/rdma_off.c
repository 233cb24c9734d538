/* Built without RDMA (cmake -DPOLAR_RDMA=OFF). */
#include "server/config.h"
#include "server/rdma.h"

bool server_rdma_check(const struct config *config)
{
    return config->rdma.count == 0 ||
           config_refuse("rdma", config->rdma.items[0], "this polarkv was built without RDMA (POLAR_RDMA)");
}

int server_rdma_probe(const struct config *config)
{
    (void)config;
    return 0;
}

int server_rdma_create_core(struct core *core)
{
    (void)core;
    return 0;
}

int server_rdma_create(struct server *server, struct control *control)
{
    (void)server, (void)control;
    return 0;
}

int server_rdma_register_metrics(struct core *core)
{
    (void)core;
    return 0;
}

void server_rdma_add_clock(struct core *core)
{
    (void)core;
}

void server_rdma_add_input(struct core *core)
{
    (void)core;
}

void server_rdma_add_output(struct core *core)
{
    (void)core;
}

bool server_rdma_is_read(struct stream *stream)
{
    (void)stream;
    return false;
}

int server_rdma_listen(struct server *server)
{
    (void)server;
    return 0;
}

void server_rdma_stop(struct server *server)
{
    (void)server;
}

void server_rdma_destroy(struct server *server, struct control *control)
{
    (void)server, (void)control;
}
