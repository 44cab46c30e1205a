#!/bin/bash
set -e
case "$DEPLOYMENT_GROUP_NAME" in
    prod) port=80 ;;
    dev | stg) port=8080 ;;
esac
echo "listening on $port"
