#!/bin/bash
# up.sh PREFIX: two emulated hosts, PREFIX0 (10.77.0.1) and PREFIX1 (10.77.0.2): network namespaces
# joined by one virtual cable. Needs root and iproute2.
set -e
P=$1; NET=10.77.0
ip netns add ${P}0; ip netns add ${P}1
ip link add ${P}v0 netns ${P}0 type veth peer name ${P}v1 netns ${P}1
for i in 0 1; do
  ip -n $P$i addr add $NET.$((i + 1))/24 dev ${P}v$i
  ip -n $P$i link set ${P}v$i up
  ip -n $P$i link set lo up
  # ip netns exec mounts /etc/netns/NAME/* over /etc/*
  mkdir -p /etc/netns/$P$i
  printf '127.0.0.1 localhost\n%s.1 %s\n%s.2 %s\n' $NET ${P}0 $NET ${P}1 > /etc/netns/$P$i/hosts
  echo $P$i > /etc/netns/$P$i/hostname
done
