#!/bin/sh
# Unpacks Debian's kernel for virtual machines below DIR, unless it is there, and
# prints its path. Nothing is installed: no boot loader and no hook hears of it,
# and lists of another architecture's packages are kept below DIR.
#
#   kernel.sh DIR [amd64|arm64]
set -eu
[ $# = 1 ] || [ $# = 2 ] || { echo "usage: kernel.sh DIR [amd64|arm64]" >&2; exit 1; }
dir=$1
arch=${2:-amd64}

find_kernel() { ls "$dir"/boot/vmlinuz-*-cloud-"$arch" 2>/dev/null | tail -n 1; }

options=
# foreign has apt work on lists of its own.
foreign() {
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	options="-o APT::Architecture=$arch -o APT::Architectures::=$arch -o Dir::State::Lists=$dir/lists -o Dir::Cache=$dir/cache -o Dir::State::Status=$dir/status"
	apt-get $options -qq -o APT::Sandbox::User=root update >&2
}

if [ -z "$(find_kernel)" ]; then
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	[ "$arch" = "$(dpkg --print-architecture)" ] || foreign
	# The package with the plain name depends on the one with the kernel.
	package=$(apt-cache $options depends "linux-image-cloud-$arch" 2>/dev/null | sed -n "s/^ *Depends: \(linux-image-.*-cloud-$arch\)$/\1/p")
	[ -n "$package" ] || { echo "kernel: this system has no package linux-image-cloud-$arch" >&2; exit 1; }
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT INT TERM
	(cd "$work" && apt-get $options download -qq -o APT::Sandbox::User=root "$package") >&2
	dpkg-deb --fsys-tarfile "$work"/*.deb | tar -C "$dir" -x --wildcards './boot/vmlinuz-*'
fi
find_kernel
