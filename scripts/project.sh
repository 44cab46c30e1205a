# shellcheck shell=sh
# What the hooks in this folder share: the compose project, its file, its commit. Read in with `.`, never run.
#
# The folder of the revision comes from the hook's own path, because that is right in every event. A path built from
# DEPLOYMENT_ID is not: ApplicationStop runs the installed revision's script, while DEPLOYMENT_ID already names the new
# deployment, whose files are not on the host yet.

say() {
    printf '%s\n' "$*"
}

# fail TEXT [HINT]
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then printf 'hint: %s\n' "$2" >&2; fi
    exit 1
}

by_hand='the agent sets it; by hand: APPLICATION_NAME=shop DEPLOYMENT_GROUP_NAME=dev LONGSHORE_COMMIT=<commit>'
[ -n "${APPLICATION_NAME:-}" ] || fail 'APPLICATION_NAME is not set' "$by_hand"
[ -n "${DEPLOYMENT_GROUP_NAME:-}" ] || fail 'DEPLOYMENT_GROUP_NAME is not set' "$by_hand"

# One compose project per application and group. Its name stays the same from revision to revision, so that the new
# revision takes over the containers, networks and volumes of the old one, and two groups can share a host.
# Compose allows only these characters in it.
project=$(printf '%s-%s' "$APPLICATION_NAME" "$DEPLOYMENT_GROUP_NAME" |
    tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9_-' '-' | sed 's/^[-_]*//')

# Compose reads `.env` and resolves relative paths here.
cd "$(dirname "$0")/.." || exit

# Prints the compose file of the group. The only list of groups: add yours here.
group_compose_file() {
    case $DEPLOYMENT_GROUP_NAME in
        dev) file=docker-compose.dev.yml ;;
        stg) file=docker-compose.stg.yml ;;
        prod) file=docker-compose.yml ;;
        *)
            fail "no compose file belongs to the deployment group \`$DEPLOYMENT_GROUP_NAME\`; known are dev, stg and prod" \
                'add the group to group_compose_file in scripts/project.sh, or correct its name'
            ;;
    esac
    [ -f "$file" ] || fail "\`$file\` is missing in $PWD" 'put it into the bundle; the group needs it'
    printf '%s\n' "$file"
}

# Runs compose on the project: the plugin, or docker-compose 1.x or 2.x where there is no plugin. Where the bundle was built
# with `--lock-images`, the group's lock file makes it run the images of that day, wherever their tags lead by now; the list of files beside it says what that one
# is read on top of, and stands in for group_compose_file.
compose() {
    given=$#
    files=docker-compose.$DEPLOYMENT_GROUP_NAME.files
    if [ -f "$files" ]; then
        while IFS= read -r line; do
            case $line in
                COMPOSE_PROFILES=*) export "${line?}" ;;
                *)
                    [ -f "$line" ] || fail "\`$line\` is missing in $PWD" 'put it into the bundle; the group needs it'
                    set -- "$@" --file "$line"
                    ;;
            esac
        done <"$files"
    else
        compose_file=$(group_compose_file) || return
        set -- "$@" --file "$compose_file"
    fi
    lock_file=docker-compose.$DEPLOYMENT_GROUP_NAME.lock.yml
    [ -f "$lock_file" ] || lock_file=
    set -- "$@" ${lock_file:+--file "$lock_file"}
    # The command goes behind the files.
    while [ "$given" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        given=$((given - 1))
    done
    set -- --project-name "$project" "$@"
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    elif command -v docker-compose >/dev/null; then
        docker-compose "$@"
    else
        fail "neither \`docker compose\` nor \`docker-compose\` is installed" \
            'install docker-compose-plugin (Docker), docker-compose-v2 (Ubuntu) or docker-compose (Debian)'
    fi
}

# Sets COMMIT_HASH, which the compose files use as image tag.
export_commit() {
    if [ -n "${LONGSHORE_COMMIT:-}" ]; then
        COMMIT_HASH=$LONGSHORE_COMMIT
    elif [ -n "${BUNDLE_COMMIT:-}" ]; then
        # CodeDeploy, revision from GitHub.
        COMMIT_HASH=$BUNDLE_COMMIT
    else
        # CodeDeploy, revision from S3: the key holds the commit, as in bundles/shop/<commit>.zip.
        COMMIT_HASH=$(printf '%s\n' "${BUNDLE_KEY:-}" | tr -c '0-9a-f' '\n' |
            grep -E -x '[0-9a-f]{40}|[0-9a-f]{64}' | tail -n 1)
    fi
    [ -n "$COMMIT_HASH" ] ||
        fail "cannot tell the commit: LONGSHORE_COMMIT is not set and BUNDLE_KEY is \`${BUNDLE_KEY:-}\`" \
            "name the bundle by its whole commit hash, as \`longshore push\` does"
    export COMMIT_HASH
}

# Prints the ids of the project's containers, stopped ones included, `compose run` ones excluded. Needs no compose file.
containers() {
    docker ps --all --quiet --no-trunc \
        --filter "label=com.docker.compose.project=$project" \
        --filter 'label=com.docker.compose.oneoff=False'
}
