#!/bin/sh
# Makes the base images that Dockerfile, docker-compose.yml and the examples name,
# where they cannot be pulled, out of what this machine has installed:
#
#   golang:TAG            its own Go and CA bundle, on a static busybox
#   prom/prometheus:TAG   the prometheus and promtool of its own package
#   debian:TAG            a minimal Debian, made by debootstrap
#
# An image that is there, or that can be pulled, is left as it is. A stand-in
# proves the steps of a build, not the content of the real image. It has the
# label brood.stand-in; docker-clean.sh --images removes all of them.
#
#   docker-standins.sh           the first two
#   docker-standins.sh golang    only one of them
set -eu

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

say() { echo "docker-standins: $*" >&2; }
die() { say "$*"; exit 1; }

# missing tells whether an image must be made.
missing() {
	if docker image inspect "$1" >/dev/null 2>&1; then
		say "$1 is there"
		return 1
	fi
	if timeout "${PULL_TIMEOUT:-60}" docker pull --quiet "$1" >/dev/null 2>"$work/pull"; then
		say "$1 was pulled"
		return 1
	fi
	say "$1 cannot be pulled ($(tail -n 1 "$work/pull")): making a stand-in"
}

# put_busybox puts a shell and its tools into a root file system.
put_busybox() {
	from=$(command -v busybox) || die "the stand-in needs busybox: install busybox-static"
	! ldd "$from" >/dev/null 2>&1 || die "the stand-in needs a static busybox: install busybox-static"
	mkdir -p "$1/bin" "$1/usr/bin" "$1/etc" "$1/root" "$1/tmp"
	chmod 1777 "$1/tmp"
	cp "$from" "$1/bin/busybox"
	"$from" --list | while read -r name; do
		[ "$name" = busybox ] || ln -s busybox "$1/bin/$name"
	done
	ln -s /bin/env "$1/usr/bin/env"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$1/etc/passwd"
	printf 'root:x:0:\nnobody:x:65534:\n' >"$1/etc/group"
}

# put_certificates copies the machine's CA bundle, which may know a proxy that no
# other bundle does.
put_certificates() {
	mkdir -p "$1/etc/ssl/certs"
	cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}

make_golang() {
	root=$work/golang
	goroot=$(go env GOROOT) || die "the stand-in for $1 needs an installed Go"
	put_busybox "$root"
	put_certificates "$root"
	mkdir -p "$root/usr/local" "$root/go/src" "$root/go/bin"
	cp -a "$(readlink -f "$goroot")" "$root/usr/local/go"
	tar -C "$root" -c . | docker import \
		-c 'ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		-c 'ENV GOPATH=/go GOTOOLCHAIN=local' -c 'WORKDIR /go' -c 'CMD ["sh"]' \
		-c 'LABEL brood.stand-in=golang' - "$1" >/dev/null
}

make_prometheus() {
	root=$work/prometheus
	command -v prometheus promtool >/dev/null || die "the stand-in for $1 needs the package prometheus"
	put_busybox "$root"
	mkdir -p "$root/etc/prometheus" "$root/prometheus"
	chown 65534:65534 "$root/prometheus"
	for program in prometheus promtool; do
		from=$(command -v "$program")
		cp -L "$from" "$root/bin/$program"
		ldd "$from" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
			mkdir -p "$root$(dirname "$library")"
			cp -L "$library" "$root$library"
		done
	done
	tar -C "$root" -c . | docker import \
		-c 'USER nobody' -c 'WORKDIR /prometheus' -c 'EXPOSE 9090' -c 'ENTRYPOINT ["/bin/prometheus"]' \
		-c 'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]' \
		-c 'LABEL brood.stand-in=prometheus' - "$1" >/dev/null
}

make_debian() {
	root=$work/debian
	command -v debootstrap >/dev/null || die "the stand-in for $1 needs debootstrap"
	suite=${1#*:}
	debootstrap --variant=minbase "${suite%-slim}" "$root" >"$work/debootstrap" 2>&1 ||
		die "cannot make $1: $(tail -n 1 "$work/debootstrap")"
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
	tar -C "$root" -c . | docker import -c 'CMD ["bash"]' -c 'LABEL brood.stand-in=debian' - "$1" >/dev/null
}

for name in ${*:-golang prometheus}; do
	case $name in
	golang) image=$(grep -o -m 1 'golang:[^ ]*' Dockerfile) ;;
	prometheus) image=$(grep -o -m 1 'prom/prometheus:[^ ]*' docker-compose.yml) ;;
	debian) image=$(sed -n 's/^FROM \(debian:.*\)/\1/p' examples/python/Dockerfile) ;;
	*) die "there is no stand-in for $name, want golang, prometheus or debian" ;;
	esac
	if missing "$image"; then
		"make_$name" "$image"
		say "$image is a stand-in now"
	fi
done
