# The clients' end of a wire to polarkv in another guest.
. /rdma.sh
address=10.77.0.1

rdma_up eth0 10.77.0.2/24
report rdma $? || exit
hear go
step values 100 rdma_client $address 6379 redis values || exit
step values_memcache 100 rdma_client $address 11211 memcache values || exit
step pairs 100 rdma_client $address 6379 redis pairs 4 10 || exit
step ends 100 rdma_client $address 11211 memcache ends || exit
step slow 100 rdma_client $address 6379 redis slow || exit
step churn 100 rdma_client $address 11211 memcache churn 20 || exit
step hostile 100 rdma_hostile $address 6379 || exit
report quiet 0
hear write
rdma_client $address 6379 redis pairs 4 100000
