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
# One line per service: its image, and `profile` where docker-compose 1.x lists a service that may not be wanted.
images=$(printf '%s\n' "$config" | awk '
    /^[^ ]/ { services = /^services:/ }
    services && /^  [^ ]/ { service = $1 }
    services && /^    image: / { gsub(/["\047]/, "", $2); image[service] = $2 }
    services && /^    profiles:/ { profile[service] = "profile" }
    END { for (service in image) print image[service], profile[service] }' | sort -u)
[ -n "$images" ] || fail "no service in the compose file has an \`image:\`" 'hosts pull images, they do not build them'

for registry in $(printf '%s\n' "$images" | sed -n 's#^\([0-9]\{12\}\.dkr[.-]ecr[^/]*\)/.*#\1#p' | sort -u); do
    ecr_login "$registry"
done

say 'pulling:'
printf '%s\n' "$images" | sed 's/ .*//; s/^/  /'
compose pull --quiet

# A service with `build:` may be without an image here: docker-compose 1.x only remarks that it could be built.
printf '%s\n' "$images" | while read -r image profile; do
    [ -n "$profile" ] || docker image inspect "$image" >/dev/null 2>&1 ||
        fail "the image \`$image\` cannot be pulled" 'did the build of this commit push it?'
done
say 'pulled every image'
