#!/bin/sh
set -e
docker pull shop/web:latest
docker pull nginx
docker pull "shop/web:$LONGSHORE_COMMIT"
docker run -d --name cache redis:latest
