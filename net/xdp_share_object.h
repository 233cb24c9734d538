/* The compiled XDP program: what polar_bpf_object made of xdp_share.bpf.c. */
#ifndef POLAR_NET_XDP_SHARE_OBJECT_H
#define POLAR_NET_XDP_SHARE_OBJECT_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t xdp_share_object[];
extern const size_t xdp_share_object_bytes; /* 0: built without clang */

#endif
