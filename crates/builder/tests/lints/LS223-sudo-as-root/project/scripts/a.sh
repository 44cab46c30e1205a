#!/bin/sh
set -e
sudo systemctl restart shop
sudo -u shop /srv/shop/bin/warm-up
sudo systemctl reload nginx
