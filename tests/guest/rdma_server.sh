# polarkv with RDMA on a wire to another guest.
. /rdma.sh
. /polarkv.sh

at_rest()
{
    becomes rdma_connections=0 curr_connections=1 pins=0 writes_open=0 "rdma_listener_memory_regions=$regions"
}

rdma_up eth0 10.77.0.1/24
report rdma $? || exit
polarkv_start --rdma 10.77.0.1:6379 --rdma memcache@10.77.0.1:11211 --rdma-buffer 128k
report started $? || exit
regions=$(stat rdma_listener_memory_regions)
hear quiet
at_rest
report rest $? || exit
hear alone
at_rest
report rest_after_power_cut $? || exit
polarkv_stop
report stopped $?
