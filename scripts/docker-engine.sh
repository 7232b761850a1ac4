#!/bin/sh
# Starts a Docker engine for the tests where none answers, and stops it again.
#
#   docker-engine.sh start DIR   make everything below DIR, print DOCKER_HOST=...
#   docker-engine.sh stop DIR    stop that engine and remove DIR
#
# An engine that answers already is used as it is: start says so, prints nothing
# on stdout and starts nothing. The one it starts touches neither the firewall
# nor /var/lib/docker: it has no default bridge, so containers get --network
# none, host, or a network made for them.
set -eu

say() { echo "docker-engine: $*" >&2; }
die() { say "$*"; exit 1; }

start() {
	dir=$1
	if version=$(docker version --format '{{.Server.Version}}' 2>/dev/null) && [ -n "$version" ]; then
		say "an engine answers (version $version), so none is started"
		return
	fi
	command -v dockerd >/dev/null || die "no engine answers, and dockerd is not installed"
	[ "$(id -u)" = 0 ] || die "no engine answers, and only root can start one"
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	say "no engine answers: starting dockerd below $dir (its log: $dir/log)"
	setsid dockerd --host "unix://$dir/docker.sock" --pidfile "$dir/pid" --data-root "$dir/data" --exec-root "$dir/exec" \
		--bridge none --iptables=false >"$dir/log" 2>&1 </dev/null &
	for _ in $(seq 300); do
		if docker --host "unix://$dir/docker.sock" version >/dev/null 2>&1; then
			echo "DOCKER_HOST=unix://$dir/docker.sock"
			return
		fi
		kill -0 $! 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 "$dir/log" >&2
	stop "$dir" || true
	die "the engine did not come up"
}

stop() {
	dir=$1
	[ -d "$dir" ] || die "there is no $dir"
	if pid=$(cat "$dir/pid" 2>/dev/null); then
		case $(cat "/proc/$pid/comm" 2>/dev/null) in
		dockerd)
			say "stopping the engine with PID $pid"
			kill "$pid"
			for _ in $(seq 200); do
				kill -0 "$pid" 2>/dev/null || break
				sleep 0.1
			done
			;;
		esac
	fi
	# What the engine has left mounted goes before its files.
	awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount
	rm -rf "$dir"
	say "removed $dir"
}

case "${1-} $#" in
"start 2") start "$2" ;;
"stop 2") stop "$2" ;;
*) die "usage: docker-engine.sh start|stop DIR" ;;
esac
