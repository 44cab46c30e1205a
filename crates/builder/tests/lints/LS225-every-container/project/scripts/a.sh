#!/bin/bash
set -e
ids=$(docker ps -aq)
if [ -n "$ids" ]; then docker rm -f $ids; fi
docker stop $(docker ps -q)
docker ps -aq | xargs --no-run-if-empty docker rm -f
docker system prune -af --volumes
docker image prune -f
docker stop $(docker ps -q --filter name=shop)
for c in $(docker ps -aq); do docker rm -f "$c"; done
for c in $ids; do
    docker stop "${c}"
done
docker ps -aq | while read -r c; do docker rm -f "$c"; done
while read -r c; do docker kill "$c"; done < <(docker container ls --quiet)
while read -r c; do docker rm "$c"; done <<<"$ids"
docker ps -q | xargs -n1 docker stop
docker ps -aq | xargs -r docker rm
docker ps -a --format '{{.Names}}' | sort | xargs -I{} docker container rm {}
docker ps -a | awk 'NR>1 {print $1}' | xargs sudo docker rm
docker rmi $(docker images | tail -n +2 | awk '{print $3}')
podman rm --all --force
podman stop -a
docker volume prune -f
docker volume rm $(docker volume ls -q)
