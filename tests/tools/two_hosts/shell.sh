#!/bin/bash
# shell.sh HOST WORDS...: what ssh does for real hosts (Open MPI's plm_rsh_agent): the words are one
# command line for the other host's shell. As with ssh, what runs there does not end with this process.
while [[ "$1" == -* ]]; do shift; done
h=$1; shift
setsid --wait ip netns exec "$h" unshare --uts bash -c 'hostname "$0"; eval "$*"' "$h" "$@"
