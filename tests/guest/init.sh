#!/bin/sh
# A guest's first process: file systems, modules, the test's script, the end. Its words to guest.py begin with @@.
export PATH=/usr/sbin:/usr/bin

report() # STEP STATUS
{
    if [ "$2" = 0 ]; then
        echo "@@ $1 ok"
    else
        echo "@@ $1 failed: status $2"
    fi
    return "$2"
}

step() # STEP SECONDS COMMAND...: runs a program within this time
{
    step_name=$1
    step_seconds=$2
    shift 2
    timeout "$step_seconds" "$@" </dev/null
    report "$step_name" $?
}

hear() # WORD: waits until guest.py tells it
{
    while read -r heard; do
        [ "$heard" != "$1" ] || return 0
    done
}

load_modules()
{
    for module in $(cat /modules/order); do
        insmod "/modules/$module.ko" || return
    done
}

/bin/busybox mount -t proc proc /proc # busybox finds itself there; from then on its commands are the shell's own
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
exec </dev/console >/dev/console 2>&1
stty -echo
report boot 0
ulimit -l unlimited
load_modules
report modules $?
(. /test.sh)
report script $?
echo "@@ end"
poweroff -f
