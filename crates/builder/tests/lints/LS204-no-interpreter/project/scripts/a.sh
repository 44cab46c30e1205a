set -e
docker compose version
