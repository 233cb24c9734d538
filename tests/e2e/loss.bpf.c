/*
 * A bad wire for tc: of each thousand frames so many are lost and so many come twice. Attached to the kernel's end of a
 * veth pair, once for each direction. The rates are compiled in: -DLOSS=20 -DTWICE=10, in parts of a thousand.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define COPY_MARK 0x77697265

static __always_inline int wire(struct __sk_buff *skb, __u64 flags)
{
    if (skb->mark == COPY_MARK) return TC_ACT_OK;
    __u32 dice = bpf_get_prandom_u32() % 1000;
    if (dice < LOSS) return TC_ACT_STOLEN; /* a frame that is shot is told to its sender, who then knows at once */
    if (dice < LOSS + TWICE) {
        skb->mark = COPY_MARK;
        bpf_clone_redirect(skb, skb->ifindex, flags);
    }
    return TC_ACT_OK;
}

SEC("out")
int wire_out(struct __sk_buff *skb) { return wire(skb, 0); }

SEC("in")
int wire_in(struct __sk_buff *skb) { return wire(skb, BPF_F_INGRESS); }

char wire_license[] SEC("license") = "GPL";
