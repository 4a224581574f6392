#!/bin/bash
# on.sh HOST COMMAND...: run a command on an emulated host: its network, its name.
h=$1; shift
exec ip netns exec "$h" unshare --uts bash -c 'hostname "$0"; exec "$@"' "$h" "$@"
