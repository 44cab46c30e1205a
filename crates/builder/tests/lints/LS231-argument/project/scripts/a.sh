#!/bin/bash
set -e
case "$1" in
    ApplicationStop) systemctl stop shop ;;
    *) systemctl start shop ;;
esac
