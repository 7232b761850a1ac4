#!/bin/sh
# Unpacks Debian's kernel for virtual machines below DIR, unless it is there, and
# prints its path. Nothing is installed: no boot loader and no hook hears of it.
#
#   kernel.sh DIR
set -eu
[ $# = 1 ] || { echo "usage: kernel.sh DIR" >&2; exit 1; }
dir=$1

find_kernel() { ls "$dir"/boot/vmlinuz-*-cloud-amd64 2>/dev/null | tail -n 1; }

if [ -z "$(find_kernel)" ]; then
	# The package with the plain name depends on the one with the kernel.
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p')
	[ -n "$package" ] || { echo "kernel: this system has no package linux-image-cloud-amd64" >&2; exit 1; }
	mkdir -p "$dir"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT INT TERM
	(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package") >&2
	dpkg-deb --fsys-tarfile "$work"/*.deb | tar -C "$dir" -x --wildcards './boot/vmlinuz-*'
fi
find_kernel
