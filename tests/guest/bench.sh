# kvbench over soft-RoCE against polarkv in the same guest: both protocols, every mode, each value checked.
. /rdma.sh
. /polarkv.sh
address=10.78.0.1

bench_once()
{
    timeout 100 kvbench --server rdma://$address:$port --protocol "$protocol" --keys 40 --warmup 0s --duration 500ms \
        --connections 4 --json /tmp/report "$@" </dev/null
}

# A run's report goes to the log in one line. Once more when it fails: on a busy machine the guest stands still for
# seconds, in which requests go unanswered.
bench() # STEP PROTOCOL OPTION...
{
    bench_step=$1
    port=6379
    [ "$2" = resp ] || port=11211
    protocol=$2
    shift 2
    bench_once "$@" || {
        grep -v ':0$' /sys/class/infiniband/rxe0/ports/1/hw_counters/* /dev/null
        bench_once "$@"
    }
    report "$bench_step" $? || return
    echo "@@report $bench_step $(tr -d '\n' </tmp/report)"
}

rdma_dummy $address/24
report rdma $? || exit
polarkv_start --rdma $address:6379 --rdma memcache@$address:11211
report started $? || exit

bench memcache memcache --ratio 1:1
bench pipelined resp --ratio 1:3 --pipeline 8 --value-size 1:6000
bench split memcache --value-size 150000:300000 --ratio 1:1 --keys 10 --rdma-buffer 64k --connections 2
bench open resp --rate 200 --ratio 1:1
bench anew memcache --reconnect 10 --ratio 1:1 --connections 2 --idle-connections 3
bench threads resp --threads 2 --ratio 0:1 --value-size 300
timeout 60 kvbench --server rdma://$address:9 --duration 1s --load no </dev/null >/tmp/refused 2>&1
[ $? = 1 ] && grep -q "Connection refused" /tmp/refused || { cat /tmp/refused; false; }
report refused $?
# The device goes in the midst of a run: that ends at once, and says why. Where the server heard of it first, whose device
# it is too, it is the server's reset.
timeout 100 kvbench --server rdma://$address:6379 --protocol resp --keys 40 --warmup 0s --duration 60s --connections 4 \
    >/tmp/gone 2>&1 </dev/null &
bench=$!
becomes rdma_connections=4
report running $?
timeout 30 rdma link delete rxe0
report deleted $?
wait $bench
[ $? = 1 ] && grep -q "lost 4" /tmp/gone &&
    grep -Eq "RDMA device rxe0 is gone|first error: Connection reset by peer" /tmp/gone || { cat /tmp/gone; false; }
report device_gone $?
polarkv_stop
report stopped $?
