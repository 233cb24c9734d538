# kvbench --onesided over soft-RoCE: gets that read the shards of two cores, beside writes of its own and, from others
# over kernel sockets, deletes and expiry.
. /rdma.sh
. /polarkv.sh
address=10.78.0.1

each_key() # FORMAT FIRST LAST: with %08x for the key's number
{
    for number in $(seq "$2" "$3"); do printf "$1" "$number"; done
}

answered() # COUNT ANSWER FORMAT FIRST LAST: to memcached's command for these keys, over a kernel socket
{
    [ "$({ each_key "$3" "$4" "$5"; printf 'quit\r\n'; } | nc 127.0.0.1 11211 | grep -c "^$2")" = "$1" ]
}

# For as long as a run may take keys come and go.
disturb()
{
    {
        while [ ! -e /tmp/calm ]; do
            each_key 'touch kvbench:%08x 1\r\n' 0 63
            usleep 300000
            each_key 'delete kvbench:%08x\r\n' 0 63
            usleep 300000
        done
        printf 'quit\r\n'
    } | nc 127.0.0.1 11211 >/tmp/disturbed
}

# A run's report goes to the log in one line.
onesided() # STEP STATUS OPTION...
{
    onesided_step=$1
    onesided_status=$2
    shift 2
    timeout 60 kvbench --onesided --server rdma://$address:11211 --connections 4 --keys 64 --warmup 0s \
        --json /tmp/report "$@" >/tmp/kvbench.log 2>&1 </dev/null
    set -- $?
    [ "$1" = "$onesided_status" ] || cat /tmp/kvbench.log
    [ "$1" = "$onesided_status" ]
    report "$onesided_step" $? || return
    echo "@@report $onesided_step $(tr -d '\n' </tmp/report)"
}

at_rest()
{
    becomes rdma_connections=0 curr_connections=1 pins=0 writes_open=0 "rdma_listener_memory_regions=$regions" \
        curr_items="$items"
}

rdma_dummy $address/24
report rdma $? || exit
polarkv_start --huge-pages yes --rdma memcache@$address:11211 --rdma $address:6379 --rdma-onesided yes
report started $? || exit
regions=$(stat rdma_listener_memory_regions)
step strict 60 rdma_client $address 6379 redis churn 5 || exit
items=$(stat curr_items)

disturb &
disturber=$!
(step strict_beside 60 rdma_client $address 6379 redis churn 20) &
beside=$!
onesided mixed 0 --ratio 1:3 --pipeline 4 --value-size 1:3000 --duration 3s || exit
wait $beside || exit
touch /tmp/calm
wait $disturber
[ "$(grep -c DELETED /tmp/disturbed)" -gt 50 ] && [ "$(grep -c TOUCHED /tmp/disturbed)" -gt 50 ]
report disturbed $? || exit

[ "$(stat rdma_windows_given)" -ge 8 ]
report windows_counted $? || exit

read_only="--load no --ratio 0:1 --duration 400ms"
onesided present 0 --server rdma://$address:6379 --protocol resp --ratio 0:1 --duration 400ms || exit
answered 32 TOUCHED 'touch kvbench:%08x 1\r\n' 0 31 && answered 32 DELETED 'delete kvbench:%08x\r\n' 32 63
report touched_deleted $? || exit
sleep 2
onesided gone 0 $read_only || exit
at_rest
report rest $? || exit

# What is read is checked: here every value is another's.
answered 64 STORED \
    'set kvbench:%08x 0 0 64\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n' 0 63
report set_wrong $? || exit
onesided wrong 1 $read_only || exit
polarkv_stop
report stopped $? || exit

# Where there is a password, only for who has given it; and whoever knows the key reads by it nothing.
polarkv_start --password secret --rdma $address:6379 --rdma-onesided yes
report started_password $? || exit
step thief 60 rdma_thief $address 6379 secret || exit
let_in="--server rdma://$address:6379 --protocol resp --duration 300ms"
onesided password 0 $let_in --password secret || exit
onesided no_password 1 $let_in || exit
onesided wrong_password 1 $let_in --password Secret || exit
polarkv_stop
report stopped_password $? || exit

# A server that does not grant it.
polarkv_start --rdma memcache@$address:11211 --rdma $address:6379
report started_without $? || exit
onesided refused 1 --duration 1s || exit
grep -q "does not grant one-sided reads" /tmp/kvbench.log
report refused_said $? || exit
step strict_after 60 rdma_client $address 6379 redis churn 5 || exit
polarkv_stop
report stopped_without $?
