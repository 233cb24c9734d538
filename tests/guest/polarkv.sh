# polarkv in a guest; sourced by tests' scripts.

polarkv_start() # OPTION...: returns when it listens
{
    : >/tmp/polarkv.log
    polarkv --protected no --cores 2 --memory-limit 48m --buffer-memory 32m --huge-pages no "$@" \
        >/tmp/polarkv.log 2>&1 </dev/null &
    polarkv_pid=$!
    for try in $(seq 300); do
        ! grep -q ' ready: ' /tmp/polarkv.log || return 0
        kill -0 $polarkv_pid 2>/dev/null || break
        usleep 100000
    done
    cat /tmp/polarkv.log
    return 1
}

polarkv_stop() # its exit status
{
    kill -TERM $polarkv_pid
    wait $polarkv_pid
    set -- $?
    [ "$1" = 0 ] || cat /tmp/polarkv.log
    return "$1"
}

stats() # all of memcached's, over a kernel socket
{
    printf 'stats\r\nquit\r\n' | nc 127.0.0.1 11211 | tr -d '\r'
}

stat() # NAME
{
    stats | sed -n "s/^STAT $1 //p"
}

# Each of these comes to this value in a minute; counts are refreshed once a second.
becomes() # NAME=VALUE...
{
    for want in "$@"; do
        for try in $(seq 120); do
            [ "$(stat "${want%=*}")" != "${want#*=}" ] || continue 2
            usleep 500000
        done
        echo "$want wanted, got $(stat "${want%=*}")"
        return 1
    done
}

counted() # NAME...: each has been seen at least once
{
    for name in "$@"; do
        if [ "$(stat "$name")" = 0 ]; then
            echo "$name is 0"
            return 1
        fi
    done
}
