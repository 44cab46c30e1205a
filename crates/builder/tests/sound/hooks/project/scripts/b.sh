#!/bin/sh
exec /srv/shop/bin/migrate
