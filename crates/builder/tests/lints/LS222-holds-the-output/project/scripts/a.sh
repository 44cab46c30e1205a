#!/bin/sh
set -eu
cd /srv/shop
nohup java -jar shop.jar &
java -jar admin.jar > /var/log/admin.log &
(sleep 60; systemctl reload nginx) &
