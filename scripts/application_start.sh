#!/bin/sh
# ApplicationStart: brings the project to this revision. Run again, it changes nothing.
set -eu
# shellcheck source-path=SCRIPTDIR source=project.sh
. "$(dirname "$0")/project.sh"

export_commit
say "starting $project at commit $COMMIT_HASH"
compose up --detach --no-build --remove-orphans
say "started $project"
