#!/bin/sh
# The prepare hook: starts the router and leaves it behind once it has registered.
set -eu
python3 /app/router.py "$1" &
while [ ! -e "${BROOD_PIDFILE%.*}.0.pid" ]; do
	kill -0 $! 2>/dev/null || { echo "the router has ended" >&2; exit 1; }
	sleep 0.05
done
