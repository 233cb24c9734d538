#include "net/tcp/tcp_pools.h"

#include <errno.h>
#include <string.h>
#include "net/region.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_board.h"

#define BOARDS_A_PAGE 16u /* boards for each page */
#define PAGES_LEAST 16u
#define ROOM_RUNS 10u     /* an ACK's blocks split at most eight; sending adds one */
#define PAGE_BYTES (TCP_BOARD_PAGE * sizeof(struct tcp_sent))

static int pool_init(struct tcp_pool *p, size_t slot, uint32_t max)
{
    *p = (struct tcp_pool){.slot = slot, .max = max};
    p->base = net_region_map(p->slot * max);
    return p->base ? 0 : -ENOMEM;
}

static void pool_fini(struct tcp_pool *p) { net_region_unmap(p->base, p->slot * p->max); }

static void *pool_get(struct tcp_pool *p)
{
    void *slot = p->free;
    if (slot) memcpy(&p->free, slot, sizeof p->free);
    else if (p->used < p->max) slot = p->base + p->slot * p->used++;
    if (slot) p->out++;
    return slot;
}

static void pool_put(struct tcp_pool *p, void *slot)
{
    memcpy(slot, &p->free, sizeof p->free);
    p->free = slot;
    p->out--;
}

static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

int tcp_pools_init(struct tcp_pools *p, uint32_t boards, uint32_t flows, uint32_t ooo_buffers_max)
{
    memset(p, 0, sizeof *p);
    p->ooo_buffers_max = ooo_buffers_max;
    if (pool_init(&p->boards, lines(sizeof(struct tcp_board)), boards) != 0) return -ENOMEM;
    if (pool_init(&p->pages, lines(PAGE_BYTES), boards / BOARDS_A_PAGE + PAGES_LEAST) != 0) goto fini_boards;
    if (pool_init(&p->ooos, lines(sizeof(struct tcp_ooo)), boards) != 0) goto fini_pages;
    if (pool_init(&p->v6, sizeof(struct tcp_v6), flows) != 0) goto fini_ooos;
    return 0;
fini_ooos:
    pool_fini(&p->ooos);
fini_pages:
    pool_fini(&p->pages);
fini_boards:
    pool_fini(&p->boards);
    return -ENOMEM;
}

void tcp_pools_fini(struct tcp_pools *p)
{
    pool_fini(&p->v6);
    pool_fini(&p->ooos);
    pool_fini(&p->pages);
    pool_fini(&p->boards);
}

static void page_put(struct net_stack *st, struct tcp_board *b)
{
    if (b->sent == b->few) return;
    pool_put(&st->pools.pages, b->sent);
    b->sent = b->few;
    b->cap = TCP_BOARD_FEW;
}

void tcp_board_rest(struct net_stack *st, struct tcp_board *b)
{
    struct tcp_pools *p = &st->pools;
    if (b->quiet) return;
    b->quiet = true;
    page_put(st, b);
    b->next = NULL;
    b->prev = p->quiet_tail;
    if (p->quiet_tail) p->quiet_tail->next = b;
    else p->quiet_head = b;
    p->quiet_tail = b;
}

void tcp_board_wake(struct net_stack *st, struct tcp_board *b)
{
    struct tcp_pools *p = &st->pools;
    if (!b->quiet) return;
    b->quiet = false;
    if (b->prev) b->prev->next = b->next;
    else p->quiet_head = b->next;
    if (b->next) b->next->prev = b->prev;
    else p->quiet_tail = b->prev;
}

void tcp_board_put(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = c->board;
    if (!b) return;
    tcp_board_wake(st, b);
    page_put(st, b);
    c->board = NULL;
    c->flags &= ~TCPF_BOARD;
    pool_put(&st->pools.boards, b);
}

struct tcp_board *tcp_board_get(struct net_stack *st, struct tcp_conn *c)
{
    struct tcp_board *b = pool_get(&st->pools.boards);
    if (!b && st->pools.quiet_head) {
        tcp_board_put(st, st->pools.quiet_head->owner);
        b = pool_get(&st->pools.boards);
    }
    if (!b) {
        metric_add(&st->metrics.board_pool_empty, 1);
        return NULL;
    }
    memset(b, 0, offsetof(struct tcp_board, few));
    b->owner = c;
    b->sent = b->few;
    b->cap = TCP_BOARD_FEW;
    c->board = b;
    return b;
}

void tcp_board_room(struct net_stack *st, struct tcp_board *b)
{
    if (b->count + ROOM_RUNS <= b->cap || b->cap == TCP_BOARD_PAGE) return;
    struct tcp_sent *page = pool_get(&st->pools.pages);
    if (!page) return;
    memcpy(page, b->sent + b->first, b->count * sizeof *page);
    b->sent = page;
    b->first = 0;
    b->cap = TCP_BOARD_PAGE;
}

struct tcp_v6 *tcp_v6_get(struct net_stack *st) { return pool_get(&st->pools.v6); }

void tcp_v6_put(struct net_stack *st, struct tcp_v6 *v6) { pool_put(&st->pools.v6, v6); }

struct tcp_ooo *tcp_ooo_get(struct net_stack *st, struct tcp_conn *c)
{
    if (c->ooo) return c->ooo;
    struct tcp_ooo *q = pool_get(&st->pools.ooos);
    if (q) memset(q, 0, sizeof *q);
    c->ooo = q;
    return q;
}

void tcp_ooo_put(struct net_stack *st, struct tcp_conn *c)
{
    pool_put(&st->pools.ooos, c->ooo);
    c->ooo = NULL;
}
