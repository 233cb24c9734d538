# polarkv's RDMA against clients that hold it to the protocol's document.
. /rdma.sh
. /polarkv.sh
address=10.77.0.1

ask() # STEP SECONDS redis|memcache TASK [NUMBER...]
{
    ask_step=$1
    ask_seconds=$2
    ask_protocol=$3
    shift 3
    ask_port=6379
    [ $ask_protocol = redis ] || ask_port=11211
    step "$ask_step" "$ask_seconds" rdma_client $address $ask_port $ask_protocol "$@"
}

# What clients held has come back.
at_rest()
{
    becomes rdma_connections=0 curr_connections=1 pins=0 writes_open=0 "rdma_listener_memory_regions=$regions" \
        rdma_listener_memory_windows=0 curr_items="$1"
}

rdma_dummy $address/24
report rdma $? || exit
polarkv_start --rdma $address:6379 --rdma memcache@$address:11211 --rdma-buffer 128k
report started $? || exit
regions=$(stat rdma_listener_memory_regions)

(ask idle 60 memcache idle) & # waits for keepalives meanwhile
idler=$!
for protocol in redis memcache; do
    ask values_$protocol 100 $protocol values || exit
    ask pairs_$protocol 100 $protocol pairs 8 10 || exit
    ask small_$protocol 100 $protocol small || exit
    ask ends_$protocol 100 $protocol ends || exit
done
ask slow 60 redis slow || exit
ask churn 100 redis churn 100 || exit
wait $idler || exit
items=$(stat curr_items)
at_rest "$items"
report rest $? || exit

for try in $(seq 20); do
    timeout 60 rdma_client $address 6379 redis die "$try" 2>/dev/null
    [ $? = 137 ] || exit
done
report died 0
at_rest $((items + 1))
report rest_after_deaths $? || exit

step hostile 100 rdma_hostile $address 6379 || exit
counted rdma_bad_length rdma_bad_opcode rdma_bad_register rdma_register_early rdma_bad_immediate rdma_past_end \
    rdma_feature_refused
report hostile_counted $? || exit
at_rest $((items + 1))
report rest_after_hostile $? || exit
polarkv_stop
report stopped $?
! dmesg | grep WARNING: # a pair that went before its window leaves one
report kernel $?
