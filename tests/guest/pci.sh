# polarkv's TCP over a PCI device that is handed to user space behind an IOMMU.
device=0000:00:10.0

# The IOMMU remaps no interrupts: see test_pci.py.
bind()
{
    echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts &&
        echo vfio-pci >/sys/bus/pci/devices/$device/driver_override &&
        echo $device >/sys/bus/pci/drivers_probe &&
        [ -e /sys/bus/pci/drivers/vfio-pci/$device ]
}

ifconfig lo up
bind
report bind $? || exit
(
    polarkv --cores 2 --huge-pages yes --memory-limit 64m --buffer-memory 48m --port $device --ip 10.77.0.1/24 \
        --protected no --admin-socket /tmp/admin --log-level debug
    report polarkv $?
) &
report started 0
hear finish
step stages 10 polarctl --socket /tmp/admin stages
step drops 10 polarctl --socket /tmp/admin drops
kill $(pidof polarkv)
wait
