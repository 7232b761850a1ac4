#!/usr/bin/env bash
# The first process of the cluster that kubernetes.sh starts, in new PID, mount
# and network namespaces: kubernetes-node.sh DIR BIN
#
# It makes DIR/admin.conf, starts the programs with their logs in DIR, makes
# DIR/ready when pods can be run, and stays to reap what is left to it.
set -euo pipefail
dir=$1 bin=$2

node=100.64.7.1 pods=100.64.8.0/24 services=100.64.9.0/24

# containerd, the kubelet and the network plugins have fixed paths in these. They
# are the cluster's own here, as is what it mounts.
mount --make-rprivate /
for own in /run /var/lib /var/log; do
	mount -t tmpfs -o mode=0755 tmpfs $own
done
mount --bind "$dir" "$dir"
mount --make-rshared "$dir"

ip link set lo up
ip link add node0 type bridge # a dummy would do, but not every kernel has it
ip address add $node/24 dev node0
ip link set node0 up
ip route add default dev node0 # to nowhere

mkdir -p "$dir"/{pki,cni,static,kubelet}
openssl genrsa -out "$dir/pki/sa.key" 2048 2>/dev/null
openssl rsa -in "$dir/pki/sa.key" -pubout -out "$dir/pki/sa.pub" 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,1,system:masters" >"$dir/pki/tokens.csv"
chmod 0600 "$dir/pki/tokens.csv"
cat >"$dir/admin.conf" <<X
apiVersion: v1
kind: Config
clusters: [{name: brood, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: brood, context: {cluster: brood, user: admin}}]
current-context: brood
X
chmod 0600 "$dir/admin.conf"
export KUBECONFIG=$dir/admin.conf

start() {
	local name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 </dev/null &
}

# await COMMAND...: until it succeeds, or two minutes are over.
await() {
	for _ in $(seq 600); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.2
	done
	echo "it never succeeded: $*"
	exit 1
}

cat >"$dir/cni/10-brood.conflist" <<X
{"cniVersion": "0.4.0", "name": "brood", "plugins": [{
  "type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "$dir/ipam", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}
}]}
X
# restrict_oom_score_adj: not everybody who is root here may lower it.
cat >"$dir/containerd.toml" <<X
version = 2
root = "$dir/containerd"
state = "/run/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd.sock"
[ttrpc]
  address = "/run/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "brood-test-pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
X
start containerd containerd --config "$dir/containerd.toml"
start etcd etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
	--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
	--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
	--initial-cluster default=http://127.0.0.1:2380
# The kubelet is asked by its address: nobody resolves the node's name.
start kube-apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --cert-dir="$dir/pki" \
	--bind-address=127.0.0.1 --secure-port=6443 --advertise-address=$node --service-cluster-ip-range=$services \
	--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/pki/sa.pub" \
	--service-account-signing-key-file="$dir/pki/sa.key" --token-auth-file="$dir/pki/tokens.csv" \
	--authorization-mode=AlwaysAllow --kubelet-preferred-address-types=InternalIP
await "$bin/kubectl" get --raw /readyz
await ctr --address /run/containerd.sock version

start kube-controller-manager "$bin/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false \
	--service-account-private-key-file="$dir/pki/sa.key" --root-ca-file="$dir/pki/apiserver.crt"
start kube-scheduler "$bin/kube-scheduler" --kubeconfig="$KUBECONFIG" --leader-elect=false

cat >"$dir/kubelet.yaml" <<X
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
address: 0.0.0.0
staticPodPath: $dir/static
podLogsDir: $dir/podlogs
containerRuntimeEndpoint: unix:///run/containerd.sock
cgroupDriver: cgroupfs
volumePluginDir: $dir/plugins
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
X
start kubelet "$bin/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$KUBECONFIG" --root-dir="$dir/kubelet" --cert-dir="$dir/pki" \
	--hostname-override=node1 --node-ip=$node --v=2

# Zeros: what conntrack may hold is the machine's business.
cat >"$dir/proxy.yaml" <<X
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $KUBECONFIG}
hostnameOverride: node1
mode: nftables
clusterCIDR: $pods
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
X
start kube-proxy "$bin/kube-proxy" --config="$dir/proxy.yaml"

node_is_ready() { "$bin/kubectl" get node node1 --no-headers | grep -qw Ready; }
await node_is_ready
await "$bin/kubectl" get serviceaccount default
touch "$dir/ready"
while :; do wait -n || true; sleep 1; done
