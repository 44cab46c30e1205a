#!/bin/bash
set -e
cd /srv
true
