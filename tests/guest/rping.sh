# Whether the guest's RDMA itself works: then what fails elsewhere is ours.
. /rdma.sh
address=10.77.0.1

rdma_dummy $address/24
report rdma $? || exit
step devinfo 10 ibv_devinfo || exit

timeout 60 rping -s -a $address -C 20 -S 4000 -V &
sleep 1
step rping 40 rping -c -a $address -C 20 -S 4000 -V || exit
wait $!
report rping_server $?
