#!/bin/bash
# down.sh PREFIX: end what still runs on the two hosts of up.sh, and remove them.
P=$1
for i in 0 1; do
  ip netns pids $P$i 2> /dev/null | xargs -r kill -9 2> /dev/null
  ip netns del $P$i 2> /dev/null
  rm -rf /etc/netns/$P$i
done
true
