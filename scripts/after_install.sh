#!/bin/sh
# AfterInstall: pulls every image of the revision, so that ApplicationStart depends on no registry.
set -eu
# shellcheck source-path=SCRIPTDIR source=project.sh
. "$(dirname "$0")/project.sh"

# Logs in to an Amazon ECR registry. The password goes through standard input, never through a command line.
ecr_login() {
    command -v aws >/dev/null || fail "images come from $1, and the aws command line is missing" \
        'install the AWS CLI on the host and let the instance read the repository'
    region=${1#*ecr*.}
    region=${region%%.*}
    say "logging in to $1"
    password=$(aws ecr get-login-password --region "$region")
    printf '%s' "$password" | docker login --username AWS --password-stdin "$1"
}

export_commit
say "reading the compose file of $project for commit $COMMIT_HASH"
config=$(compose config)
images=$(printf '%s\n' "$config" |
    awk '/^[^ ]/ { services = /^services:/ } services && /^    image: / { gsub(/["\047]/, "", $2); print $2 }' | sort -u)

for registry in $(printf '%s\n' "$images" | sed -n 's#^\([0-9]\{12\}\.dkr[.-]ecr[^/]*\)/.*#\1#p' | sort -u); do
    ecr_login "$registry"
done

say 'pulling' "$images"
compose pull --quiet
say 'pulled every image'
