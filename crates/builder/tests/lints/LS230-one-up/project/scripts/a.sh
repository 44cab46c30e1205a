#!/bin/sh
set -e
cd ..
pwd
