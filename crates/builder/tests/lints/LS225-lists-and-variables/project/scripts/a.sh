#!/bin/bash
set -e
# These are about every container.
for c in $(docker ps -q); do [ -n "$c" ] && docker stop "$c"; done
for c in $(docker ps -q); do [[ -z $c ]] && continue; docker stop "$c"; done
docker ps -aq | while read -r id; do docker stop "$id" || continue; done
ids=($(docker ps -aq))
docker rm -f "${ids[@]}"
mapfile -t all < <(docker ps -aq)
docker rm -f "${all[@]}"
docker ps -a | awk '{print $1}' | grep -v CONTAINER | xargs docker rm -f
docker rm -f $(docker ps -aq || true)
everyone() { local each=$(docker ps -q); docker stop $each; }
for c in $all; do docker kill "$c"; done
# These are not.
ids=$(docker ps -aq --filter label=app=shop)
docker rm -f $ids
ids=$(docker ps -q)
echo "$ids"
ids=web
docker stop $ids
running=$(docker ps -q)
echo "$running"
stop_ours() {
    local running=$(docker ps -q --filter label=app=shop)
    docker stop $running
}
for c in $(docker ps -q); do [ -n "$(docker ps -q --filter id=$c --filter label=shop)" ] && docker stop "$c"; done
for c in $(docker ps -q); do is_ours "$c" || continue; docker stop "$c"; done
stop_ours
everyone
