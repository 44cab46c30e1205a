#!/bin/sh
# ApplicationStop: stops and removes the containers of this project, and nothing else on the host. Volumes stay.
#
# The agent takes this script from the installed revision. If it failed, it would block every later revision, also the
# one that mends it. So it needs no commit, and where compose cannot read its file, the project's label is enough.
set -eu
# shellcheck source-path=SCRIPTDIR source=project.sh
. "$(dirname "$0")/project.sh"

# Stopping needs no image, but compose wants every variable of its file.
export COMMIT_HASH=none

say "stopping $project"
if compose down --remove-orphans; then
    say "stopped $project"
    exit 0
fi

say "compose cannot stop $project; stopping its containers by label"
ids=$(containers)
if [ -n "$ids" ]; then
    printf '%s\n' "$ids" | xargs docker stop
    printf '%s\n' "$ids" | xargs docker rm --force
fi
say "stopped $project"
