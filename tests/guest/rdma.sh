# Soft-RoCE in a guest; sourced by its test's script.

rdma_up() # INTERFACE ADDRESS/PREFIX: an RDMA device over it
{
    /usr/sbin/ip link set lo up &&
        /usr/sbin/ip address add "$2" dev "$1" &&
        /usr/sbin/ip link set "$1" up &&
        rdma link add rxe0 type rxe netdev "$1" &&
        rdma_ready
}

# RoCE's addresses follow the interface's by events: there are some when connections can be made.
rdma_ready()
{
    for try in $(seq 50); do
        ! grep -q 0000:0000:0000:0000:0000:ffff: /sys/class/infiniband/rxe0/ports/1/gids/* 2>/dev/null || return 0
        usleep 100000
    done
    return 1
}

# An interface that is nobody's wire, long enough for RDMA's longest packets.
rdma_dummy() # ADDRESS/PREFIX
{
    [ -d /sys/class/net/dummy0 ] || /usr/sbin/ip link add dummy0 type dummy || return
    /usr/sbin/ip link set dummy0 mtu 4200 && rdma_up dummy0 "$1"
}
