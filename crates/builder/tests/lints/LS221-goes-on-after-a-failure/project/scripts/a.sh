#!/bin/bash
cd /srv/shop
npm ci
npm run migrate
exit 0
