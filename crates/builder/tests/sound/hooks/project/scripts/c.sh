#!/bin/sh
if systemctl is-active --quiet shop; then
    systemctl stop shop
else
    echo "not running"
fi
