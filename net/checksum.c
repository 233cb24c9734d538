#include "net/checksum.h"

uint64_t checksum_chain(const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
    uint64_t sum = 0;
    uint32_t done = 0;
    for (; m && done < len; m = m->next) {
        if (off >= m->data_len) {
            off -= m->data_len;
            continue;
        }
        uint32_t n = RTE_MIN(m->data_len - off, len - done);
        uint64_t part = checksum_sum(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n);
        sum += done & 1 ? checksum_odd(part) : part;
        done += n;
        off = 0;
    }
    return sum;
}
