# polarkv over soft-RoCE: connections come and go, die, are cut, and all that they held comes back.
. /rdma.sh
address=10.77.0.1
log=/tmp/server.log

start_server()
{
    polarkv --rdma $address:6379 --rdma memcache@$address:11211 --protected no --cores 2 --memory-limit 48m \
        --buffer-memory 32m --huge-pages no "$@" >>$log 2>&1 </dev/null &
    server=$!
    for try in $(seq 300); do
        ! grep -q "ready" $log || return 0
        kill -0 $server 2>/dev/null || break
        usleep 100000
    done
    cat $log
    return 1
}

stop_server() # its status
{
    : >$log
    kill -TERM $server
    wait $server
    status=$?
    [ $status = 0 ] || cat $log
    return $status
}

stat() # NAME: of the memcached protocol's stats, over a kernel socket
{
    printf 'stats\r\nquit\r\n' | nc 127.0.0.1 11211 | tr -d '\r' | sed -n "s/^STAT $1 //p"
}

becomes() # NAME VALUE: within 20 s
{
    for try in $(seq 100); do
        [ "$(stat "$1")" != "$2" ] || return 0
        usleep 200000
    done
    echo "$1 is $(stat "$1"), not $2"
    return 1
}

# What connections held has come back.
all_back()
{
    becomes rdma_listener_connections 0 && becomes rdma_connections 0 && becomes rdma_listener_memory_bytes 0 &&
        becomes rdma_listener_memory_regions "$regions" && becomes rdma_listener_memory_windows 0 && becomes pins 0
}

client_start() # MODE WORD: in the background, until it says the word, which none before it has left in the log
{
    client_log=/tmp/$1.log
    : >$client_log
    rdma_peer $address 6379 "$1" >$client_log 2>&1 &
    client=$!
    for try in $(seq 1500); do
        ! grep -q "$2" $client_log || return 0
        usleep 20000
    done
    cat $client_log
    return 1
}

. /rdma_life.sh

refused no_device "this machine has no RDMA device" || exit
rdma_dummy $address/24
report rdma $? || exit
step devinfo 10 ibv_devinfo || exit
start_server
report server $? || exit
regions=$(stat rdma_listener_memory_regions)
step smoke 60 rdma_peer $address 6379 smoke || exit
step memcache 60 rdma_peer $address 11211 memcache || exit
step churn 100 rdma_peer $address 6379 churn 100 || exit
step many 60 rdma_peer $address 6379 many 40 || exit # more than a new completion queue has room for
all_back
report all_back $? || exit

# Clients that die in the middle of a write.
for try in $(seq 20); do
    client_start write writing || exit
    usleep $((try * 7000))
    kill -9 $client
    wait $client 2>/dev/null
done
all_back
report killed_clients $? || exit
step after_killed 60 rdma_peer $address 6379 smoke || exit

# The server ends with connections open, which its clients are told; and comes back.
client_start stay staying || exit
stop_server
report stopped $? || exit
wait $client
[ $? = 3 ] || { cat $client_log; false; }
report client_told $? || exit
start_server
report server_again $? || exit
step again 60 rdma_peer $address 6379 key 2 || exit

# The server dies.
client_start stay staying || exit
: >$log
kill -9 $server
wait $server 2>/dev/null
wait $client
[ $? = 3 ] || { cat $client_log; false; }
report client_told_of_death $? || exit
start_server --max-connections 2 --rdma-memory 2m
report server_third $? || exit
step third 60 rdma_peer $address 6379 key 2 || exit

# Refused: memory for three connections, then room for two on each core.
step too_many 60 rdma_peer $address 6379 overflow 3 || exit
becomes rdma_listener_rejected_memory 1
report rejected_memory $? || exit
stop_server
report stopped_third $? || exit

life
