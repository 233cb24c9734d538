#include "net/autoconf.h"

#include <string.h>
#include "base/log.h"
#include "net/ipv6.h"
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"

#define SECOND_NS UINT64_C(1000000000)
#define ID_BYTES 8u

static const struct net_prefix link_local = {{.bytes = {0xfe, 0x80}}, AUTOCONF_PREFIX_BITS};

/* RFC 5453: the routers' anycast address, what belongs to Ethernet's own identifiers, the reserved anycast addresses.
 */
static bool id_reserved(const uint8_t id[ID_BYTES])
{
    static const uint8_t zero[ID_BYTES], ethernet[] = {0x02, 0, 0x5e, 0xff, 0xfe};
    static const uint8_t anycast[] = {0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return memcmp(id, zero, sizeof zero) == 0 || memcmp(id, ethernet, sizeof ethernet) == 0 ||
           (memcmp(id, anycast, sizeof anycast) == 0 && id[7] >= 0x80);
}

/* RFC 7217 5; the interface is in the key. */
static void id_stable(const struct net_stack *st, struct autoconf_made *a, uint8_t id[static ID_BYTES])
{
    uint8_t text[ID_BYTES + 1];
    for (memcpy(text, a->prefix.bytes, ID_BYTES);; a->tries++) {
        text[ID_BYTES] = a->tries;
        uint64_t number = siphash(st->config.autoconf_secret, text, sizeof text);
        memcpy(id, &number, ID_BYTES);
        if (!id_reserved(id)) return;
    }
}

static struct net_addr address_make(const struct net_stack *st, struct autoconf_made *a)
{
    struct net_addr addr = ipv6_link_local(st->config.mac);
    if (st->config.autoconf == NET_AUTOCONF_STABLE) id_stable(st, a, addr.bytes + ID_BYTES);
    addr.be64[0] = a->prefix.be64[0];
    return addr;
}

/* When the first probe leaves; the same on each stack of a port. RFC 4862 5.4.2, RFC 7217 6. */
static uint64_t probe_delay(const struct net_stack *st, const struct net_addr *addr)
{
    return siphash(st->config.autoconf_secret, addr->bytes, sizeof addr->bytes) % AUTOCONF_DELAY_NS;
}

static void say(const struct net_stack *st, const struct net_addr *addr, const char *what)
{
    char text[NET_ADDR_TEXT];
    if (!st->config.follows) log_info("address %s %s", net_addr_format(addr, text), what);
}

/* False: it is ours already. */
static bool address_put(struct net_stack *st, struct autoconf_made *a, bool delay)
{
    struct net_addr addr = address_make(st, a);
    if (stack_owns(st, &addr)) return false;
    st->addrs[a->index] = (struct net_prefix){addr, AUTOCONF_PREFIX_BITS};
    st->addr_count = RTE_MAX(st->addr_count, a->index + 1u);
    st->autoconf.indices |= UINT32_C(1) << a->index;
    claim_begin(st, a->index, st->now + (delay ? probe_delay(st, &addr) : 0));
    metric_add(&st->metrics.addresses_made, 1);
    say(st, &addr, "is made of a prefix of this link");
    return true;
}

static void due_set(struct autoconf *ac)
{
    ac->due = UINT64_MAX;
    for (unsigned i = 0; i < ac->count; i++)
        if (ac->made[i].valid_until != 0) ac->due = RTE_MIN(ac->due, ac->made[i].valid_until);
}

void autoconf_init(struct net_stack *st)
{
    struct autoconf *ac = &st->autoconf;
    ac->due = UINT64_MAX;
    if (st->config.autoconf != NET_AUTOCONF_STABLE || st->addr_count == NET_ADDRS_MAX) return;
    for (unsigned i = 0; i < st->addr_count; i++)
        if (net_addr_is_link_local(&st->addrs[i].addr)) return;
    ac->made[ac->count++] = (struct autoconf_made){.prefix = link_local.addr,
                                                   .valid_until = UINT64_MAX,
                                                   .preferred_until = UINT64_MAX,
                                                   .index = (uint8_t)st->addr_count};
    address_put(st, &ac->made[0], false);
}

static struct autoconf_made *made_find(struct autoconf *ac, const struct net_addr *prefix)
{
    for (unsigned i = 0; i < ac->count; i++)
        if (ac->made[i].valid_until != 0 && ac->made[i].prefix.be64[0] == prefix->be64[0]) return &ac->made[i];
    return NULL;
}

/* A place whose address's time is over, else a new one. NULL: there is none. */
static struct autoconf_made *made_place(struct net_stack *st)
{
    struct autoconf *ac = &st->autoconf;
    for (unsigned i = 0; i < ac->count; i++)
        if (ac->made[i].valid_until == 0) return &ac->made[i];
    if (ac->count == AUTOCONF_MAX || st->addr_count == NET_ADDRS_MAX) return NULL;
    ac->made[ac->count].index = (uint8_t)st->addr_count;
    return &ac->made[ac->count];
}

static uint64_t until(const struct net_stack *st, uint32_t seconds)
{
    return seconds == UINT32_MAX ? UINT64_MAX : st->now + seconds * SECOND_NS;
}

/* RFC 4862 5.5.3 e: a forged advertisement cannot end an address sooner than in two hours. */
static void renew(const struct net_stack *st, struct autoconf_made *a, const struct autoconf_prefix *news)
{
    uint64_t told = until(st, news->valid_s), two_hours = st->now + AUTOCONF_TWO_HOURS_NS;
    a->preferred_until = until(st, news->preferred_s);
    if (told > two_hours || told > a->valid_until)
        a->valid_until = told;
    else if (a->valid_until > two_hours)
        a->valid_until = two_hours;
}

static bool make(struct net_stack *st, const struct autoconf_prefix *news)
{
    struct autoconf *ac = &st->autoconf;
    struct autoconf_made *a = made_place(st);
    if (!a) return false;
    struct autoconf_made made = {.prefix = news->prefix.addr,
                                 .valid_until = until(st, news->valid_s),
                                 .preferred_until = until(st, news->preferred_s),
                                 .index = a->index};
    if (!address_put(st, &made, news->to_all)) return true;
    *a = made;
    if (a == &ac->made[ac->count]) ac->count++;
    return true;
}

void autoconf_prefix(struct net_stack *st, const struct autoconf_prefix *news)
{
    if (st->config.autoconf == NET_AUTOCONF_OFF || net_addr_is_link_local(&news->prefix.addr)) return;
    struct autoconf_made *a = made_find(&st->autoconf, &news->prefix.addr);
    bool good = news->prefix.len == AUTOCONF_PREFIX_BITS && news->preferred_s <= news->valid_s;
    if (good && a)
        renew(st, a, news);
    else if (good)
        good = news->valid_s == 0 || make(st, news);
    if (!good) metric_add(&st->metrics.prefixes_refused, 1);
    due_set(&st->autoconf);
}

void autoconf_conflict(struct net_stack *st, unsigned index)
{
    struct autoconf *ac = &st->autoconf;
    if (!(ac->indices >> index & 1) || st->config.autoconf != NET_AUTOCONF_STABLE) return;
    struct autoconf_made *a = ac->made;
    while (a->index != index) a++;
    if (a->tries < AUTOCONF_RETRIES) {
        a->tries++;
        address_put(st, a, true);
    }
}

bool autoconf_deprecated(const struct net_stack *st, unsigned index)
{
    const struct autoconf *ac = &st->autoconf;
    if (!(ac->indices >> index & 1)) return false;
    const struct autoconf_made *a = ac->made;
    while (a->index != index) a++;
    return a->preferred_until <= st->now;
}

unsigned autoconf_timers(struct net_stack *st)
{
    struct autoconf *ac = &st->autoconf;
    unsigned n = 0;
    if (st->now < ac->due) return 0;
    for (unsigned i = 0; i < ac->count; i++) {
        struct autoconf_made *a = &ac->made[i];
        if (a->valid_until == 0 || a->valid_until > st->now) continue;
        a->valid_until = 0;
        if (!claim_absent(st, a->index)) say(st, &st->addrs[a->index].addr, "is ours no more: its time is over");
        claim_end(st, a->index);
        metric_add(&st->metrics.addresses_expired, 1);
        n++;
    }
    due_set(ac);
    return n;
}
