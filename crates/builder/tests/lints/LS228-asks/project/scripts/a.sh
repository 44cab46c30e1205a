#!/bin/bash
set -e
apt-get update
apt-get install nginx
yes | apt-get install redis
yum -q install -y jq
docker exec -it web php artisan migrate
docker-compose exec web true
docker image prune
read -rp "Go on? " answer
