#!/bin/sh
set -e
cd "$(dirname "$0")/.."
docker compose -f docker-compose.yml up --build
tail -f /var/log/shop.log
tail -n 20 /var/log/shop.log
