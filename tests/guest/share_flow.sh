# One address, two owners, by flow rules: polarkv's port is a TAP device with a kernel interface behind it (net_tap with a
# remote), whose flow rules the driver makes into filters of that interface; the kernel keeps the interface's address.
. /polarkv.sh

serve()
{
    polarkv_start --cores 1 --listen '' --vdev net_tap0,iface=pk-port,remote=eth0 --port net_tap0 --ip 10.77.0.1/24 \
        --share-address yes && isolate
}

# The driver of DPDK 22.11 says yes to isolation and leaves the filter that brings the interface's every frame (priority
# 61450), and the two that bring copies of broadcast and multicast: what a NIC then has none of.
isolate()
{
    for priority in 61450 61453 61454; do
        /usr/sbin/tc filter del dev eth0 ingress pref $priority || return
    done
}

rules() # how many filters eth0 has
{
    /usr/sbin/tc filter show dev eth0 ingress | grep -c 'dst_port'
}

ifconfig lo up
ifconfig eth0 10.77.0.1 netmask 255.255.255.0 up
report address $? || exit
nc -ll -p 22 -e cat &
serve
report started $? || exit
cat /tmp/polarkv.log
/usr/sbin/tc filter show dev eth0 ingress
[ "$(rules)" = 2 ]
report rules $?
hear kill
kill -9 $polarkv_pid
wait $polarkv_pid
report killed 0
hear again
serve
report restarted $? || exit
[ "$(rules)" = 2 ]
report rules-again $?
hear stop
polarkv_stop
report stopped $?
[ "$(rules)" = 0 ]
report rules-gone $?
hear finish
