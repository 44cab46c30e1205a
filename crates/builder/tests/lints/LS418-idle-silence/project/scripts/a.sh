#!/bin/sh
set -eu
# longshore: allow LS222
echo ready
sudo -n true # longshore: allow LS223, the image wants it
