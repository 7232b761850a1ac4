#!/usr/bin/env bash
# A Kubernetes cluster of one node, for the tests and for trying things by hand.
# It is real (etcd, API server, controllers, scheduler, proxy, kubelet,
# containerd), and lives in namespaces of its own: nothing that happens in it
# reaches the network, and all of its processes and mounts go with its first
# process. It needs root, and no image from anywhere.
#
#   kubernetes.sh build CACHE        build it of its Go modules, unless CACHE has
#                                    it; print where its programs are
#   kubernetes.sh start DIR CACHE    start it, with all its files below DIR
#   kubernetes.sh load DIR <TAR      load the images of an archive
#   kubernetes.sh run DIR COMMAND... run a command beside it: kubectl get pods
#   kubernetes.sh stop DIR           end it, and remove what it has left and DIR
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source_dir=$root/test/kubernetes/engine
PATH=$PATH:/usr/sbin:/sbin

say() { echo "kubernetes: $*" >&2; }
die() { say "$*"; exit 1; }

version() { (cd "$source_dir" && go list -m -f '{{.Version}}' k8s.io/kubernetes); }

# What the kubelet changes of the kernel's settings. They are the whole machine's,
# so stop restores them.
settings=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

build() {
	local cache=$1 version minor bin stamp
	version=$(version)
	minor=${version#v1.}
	minor=${minor%%.*}
	stamp=$(cat "$source_dir"/go.mod "$source_dir"/*.go | cksum | cut -d' ' -f1)
	bin=$cache/$version-$stamp
	if [ ! -x "$bin/engine" ]; then
		say "building Kubernetes $version into $bin: some minutes of two CPUs, 1 GB of modules and 3 GB of Go's cache"
		mkdir -p "$bin"
		(cd "$source_dir" && CGO_ENABLED=0 nice -n 19 go build -trimpath -o "$bin/engine.new" -ldflags "-s -w \
			-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/client-go/pkg/version.gitVersion=$version \
			-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor" .) >&2
		mv "$bin/engine.new" "$bin/engine"
	fi
	local name
	for name in kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl; do
		ln -sf engine "$bin/$name"
	done
	echo "$bin"
}

# groups are the control groups that the kubelet makes.
groups() { ls -d /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods 2>/dev/null || true; }

start() {
	local dir=$1 bin program
	bin=$(build "$2")
	[ "$(id -u)" = 0 ] || die "only root can start a cluster"
	for program in etcd containerd runc ctr ip nft nsenter openssl /usr/lib/cni/ptp /usr/lib/cni/host-local /usr/lib/cni/loopback; do
		command -v "$program" >/dev/null || die "$program is not installed"
	done
	[ -z "$(groups)" ] || die "there are control groups of a kubelet already ($(groups)): this machine is a node, or a cluster was not stopped"
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	[ -z "$(ls -A "$dir")" ] || die "$dir is not empty"
	case $dir/ in
	/run/* | /var/run/* | /var/lib/* | /var/log/*) die "the cluster does not see $dir: name another directory" ;;
	esac
	sysctl -e "${settings[@]}" 2>/dev/null | sed 's/ = /=/' >"$dir/sysctl"
	echo "$bin" >"$dir/bin"
	# A new process group and no terminal: a Ctrl-C is not for the cluster.
	setsid unshare --fork --kill-child --pid --mount-proc --mount --net --uts --ipc \
		"$root/scripts/kubernetes-node.sh" "$dir" "$bin" >"$dir/log" 2>&1 </dev/null &
	echo $! >"$dir/unshare.pid"
	for _ in $(seq 1200); do
		if [ -e "$dir/ready" ]; then
			(run "$dir" kubectl version) >&2
			return
		fi
		kill -0 "$(cat "$dir/unshare.pid")" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 20 "$dir/log" >&2
	die "the cluster did not come up; its logs are in $dir. Remove it with: $0 stop $dir"
}

# inside is the first process of the cluster, as seen from here.
inside() {
	local outer
	outer=$(cat "$1/unshare.pid" 2>/dev/null) || die "there is no cluster in $1"
	cat "/proc/$outer/task/$outer/children" 2>/dev/null || true
}

# run becomes the command.
run() {
	local dir=$1 pid
	shift
	pid=$(inside "$dir" | tr -d ' ')
	[ -n "$pid" ] || die "the cluster in $dir is not running"
	dir=$(cd "$dir" && pwd)
	export KUBECONFIG=$dir/admin.conf PATH=$(cat "$dir/bin"):$PATH
	exec nsenter --target "$pid" --net --mount --wd=/ -- "$@"
}

load() { run "$1" ctr --address /run/containerd.sock --namespace k8s.io images import --no-unpack=false - >&2; }

stop() {
	local dir=$1 pid name
	[ -d "$dir" ] || die "there is no $dir"
	# All its processes end with the first one, and the mounts and interfaces with
	# the processes.
	pid=$(cat "$dir/unshare.pid" 2>/dev/null || true)
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = unshare ]; then
		kill -KILL "$pid"
		for _ in $(seq 300); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	fi
	# A group can be removed once the last process in it is gone.
	for name in $(groups); do
		for _ in $(seq 300); do
			find "$name" -depth -type d -exec rmdir {} + 2>/dev/null && break
			[ -d "$name" ] || break
			sleep 0.1
		done
		[ ! -d "$name" ] || say "left behind: $name"
	done
	[ ! -s "$dir/sysctl" ] || sysctl -q -e -p "$dir/sysctl" >/dev/null || say "could not restore $dir/sysctl"
	rm -rf --one-file-system "$dir"
	say "removed $dir"
}

case "${1-} $#" in
"build 2") build "$2" ;;
"start 3") start "$2" "$3" ;;
"load 2") load "$2" ;;
"stop 2") stop "$2" ;;
run\ *) [ $# -ge 3 ] || die "want what to run"; shift; run "$@" ;;
*) die "usage: kubernetes.sh build CACHE | start DIR CACHE | load DIR | run DIR COMMAND... | stop DIR" ;;
esac
