#!/bin/bash
set -e
ids=$(docker ps -aq)
if [ -n "$ids" ]; then docker rm -f $ids; fi
docker stop $(docker ps -q)
docker ps -aq | xargs --no-run-if-empty docker rm -f
docker system prune -af --volumes
docker image prune -f
docker stop $(docker ps -q --filter name=shop)
