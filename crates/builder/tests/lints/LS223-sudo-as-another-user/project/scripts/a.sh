#!/bin/sh
set -e
sudo systemctl restart shop
sudo -n systemctl reload nginx
