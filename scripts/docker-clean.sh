#!/bin/sh
# Removes what tests have left in the Docker engine: containers, networks and
# images with the label brood.test. They normally remove these themselves.
#
#   docker-clean.sh             what tests have made
#   docker-clean.sh --images    the stand-ins of docker-standins.sh as well
set -eu

# each runs a command for every line of input, and says so.
each() {
	what=$1
	shift
	while read -r id; do
		echo "docker-clean: removing $what $id" >&2
		"$@" "$id" >/dev/null
	done
}

docker ps --all --quiet --filter label=brood.test | each container docker rm --force --volumes
docker network ls --quiet --filter label=brood.test | each network docker network rm
docker images --quiet --filter label=brood.test | sort -u | each image docker rmi --force
if [ "${1-}" = --images ]; then
	docker images --quiet --filter label=brood.stand-in | sort -u | each stand-in docker rmi --force
fi
