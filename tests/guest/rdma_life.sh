# What becomes of polarkv's RDMA when its device goes, or its port, or what it needs is not there; sourced by rdma_setup.sh.
six=fd77::1
ip=/usr/sbin/ip
manager=/usr/lib/x86_64-linux-gnu/librdmacm.so.1

refused() # STEP WORDS [COMMAND...]: polarkv, started by this, does not start, and says why in these words
{
    refused_step=$1
    refused_words=$2
    shift 2
    timeout 60 "$@" polarkv --rdma $address:6379 --protected no --cores 2 --memory-limit 48m --buffer-memory 32m \
        --huge-pages no >/tmp/refused 2>&1 </dev/null
    [ $? = 1 ] && grep -q "$refused_words" /tmp/refused || { cat /tmp/refused; false; }
    report "$refused_step" $?
}

client_lost() # its connection has ended, which it was told or found out
{
    wait $client
    set -- $?
    [ "$1" != 0 ] || cat $client_log
    [ "$1" != 0 ]
}

# How many requests for a key, asked at a core's own port, another core had to be asked for.
asked_elsewhere() # PORT KEY
{
    before=$(stat mailbox_sent)
    timeout 60 rdma_peer $address "$1" key "$2" </dev/null && echo $(($(stat mailbox_sent) - before))
}

needs()
{
    mv $manager /tmp/manager
    polarkv --version >/tmp/version || cat /tmp/version
    refused no_library "install Debian's package librdmacm1"
    mv /tmp/manager $manager
    limit=$(ulimit -l)
    ulimit -l 1024
    refused no_locked_memory "may lock 1024 KiB: raise that (ulimit -l" /usr/bin/setpriv --bounding-set=-ipc_lock
    ulimit -l "$limit"
}

# Own ports: key 2 is core 0's, key 1 core 1's.
ports()
{
    step six 60 rdma_peer $six 6390 smoke || return
    [ "$(stat core_0_slots) $(stat core_1_port_offset)" = "0-8191 2" ] &&
        [ "$(asked_elsewhere 6380 2) $(asked_elsewhere 6381 1)" = "0 0" ]
    report own_core $? || return
    [ "$(asked_elsewhere 6380 1) $(asked_elsewhere 6381 2)" = "20 20" ]
    report other_core $? || return
    becomes rdma_listener_connections 0
    step one_core_full 60 rdma_peer $address 6381 overflow 3 && becomes rdma_listener_rejected_limit 1
    report rejected_limit $?
}

port_is() # up|down
{
    for try in $(seq 100); do
        ! grep -q "$1" /sys/class/infiniband/rxe0/ports/1/state || return 0
        usleep 100000
    done
    return 1
}

link_downs()
{
    # The wire goes: what is on its way is sent again when it is back.
    client_start stay staying || return
    echo 0 >/sys/class/net/dummy0/carrier
    port_is DOWN && becomes rdma_listener_port_downs 1
    echo 1 >/sys/class/net/dummy0/carrier
    port_is ACTIVE && becomes rdma_listener_port_ups 1 && step carrier_after 60 rdma_peer $address 6379 key 2 &&
        kill -0 $client && kill $client
    report carrier $? || { cat $client_log; return 1; }
    wait $client 2>/dev/null

    # The interface is switched off and on. Soft-RoCE gives up at once whatever would be sent meanwhile, its own
    # connection manager's queue pair too (rping fails after that as well): until the device is made anew.
    becomes rdma_listener_connections 0
    $ip link set dummy0 down && port_is DOWN && becomes rdma_listener_port_downs 2
    $ip link set dummy0 up && rdma_ready && port_is ACTIVE && step down_after 60 rdma_peer $address 6379 key 2 || return
    client_start stay staying || return
    $ip link set dummy0 down && port_is DOWN && sleep 1
    $ip link set dummy0 up && rdma_ready && port_is ACTIVE || return
    $ip address add $six/64 dev dummy0 nodad # which went with the link
    timeout 30 rdma link delete rxe0 && client_lost && timeout 30 rdma link add rxe0 type rxe netdev dummy0 &&
        rdma_ready && becomes rdma_listener_listeners 12
    report lost $? || return
    step after_lost 60 rdma_peer $address 6379 key 2
}

removals()
{
    # One of two devices, on which nobody is: the kernel says nothing.
    $ip link add dummy1 type dummy && $ip link set dummy1 mtu 4200 && $ip address add 10.78.0.1/24 dev dummy1 &&
        $ip link set dummy1 up && rdma link add rxe1 type rxe netdev dummy1 || return
    client_start stay staying || return
    step second_device 60 rdma_peer 10.78.0.1 6400 key 2 || return
    timeout 30 rdma link delete rxe1 && becomes rdma_listener_devices 1 && kill -0 $client && kill $client
    report idle_removed $? || return
    wait $client 2>/dev/null

    # The last one, in the middle of writes.
    client_start stay staying || return
    stay=$client
    client_start write writing || return
    timeout 30 rdma link delete rxe0 && client_lost && becomes rdma_listener_removed $(($1 + 2))
    report removed $? || return
    wait $stay 2>/dev/null
    becomes rdma_listener_devices 0 && becomes rdma_listener_memory_regions 0 && becomes rdma_listener_listeners 0 &&
        ! ls -l /proc/$server/fd | grep infiniband
    report let_go $? || return
    timeout 30 rdma link add rxe0 type rxe netdev dummy0 && rdma_ready && becomes rdma_listener_listeners 12
    report back $? || return
    step after_back 60 rdma_peer $address 6379 smoke && all_back
}

life()
{
    needs || return
    $ip address add $six/64 dev dummy0 nodad &&
        start_server --rdma "[$six]:6390" --rdma 0.0.0.0:6400 --core-ports yes --max-connections 3
    report started $? || return
    regions=$(stat rdma_listener_memory_regions)
    ports && link_downs && removals "$(stat rdma_listener_removed)"
    report life $? || return
    stop_server
    report stopped_life $?
}
