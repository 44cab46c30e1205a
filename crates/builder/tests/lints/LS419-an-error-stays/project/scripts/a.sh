#!/bin/bash
set -e
