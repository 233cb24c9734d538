/* Zeroed memory that becomes resident as it is first touched: pools sized for the most that may ever be needed. */
#ifndef POLAR_NET_REGION_H
#define POLAR_NET_REGION_H

#include <stddef.h>

void *net_region_map(size_t bytes); /* page-aligned, or NULL. Control path. */
void net_region_unmap(void *base, size_t bytes);

#endif
