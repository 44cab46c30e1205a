#!/bin/sh
# ValidateService: succeeds when every container of the project works, fails with its last words when one does not.
#
# With a health check a container works when it is healthy; without one, when it has kept running for a few seconds. A
# container that exited has failed, unless it ended with 0 and its service has the label `one-shot: "true"`, as a
# migration may.
set -eu
# shellcheck source-path=SCRIPTDIR source=project.sh
. "$(dirname "$0")/project.sh"

# How long to wait in all. Keep it below the hook's timeout in appspec.yml, or the agent ends the wait without a word.
limit=${VALIDATE_SECONDS:-120}
# How long a container without a health check must keep running.
settle=${VALIDATE_SETTLE_SECONDS:-5}

# Prints one line per container: name, status, health, exit code, time of its start, one-shot label.
look() {
    health='{{with .State.Health}}{{.Status}}{{else}}none{{end}}'
    line="{{.Name}} {{.State.Status}} $health {{.State.ExitCode}} {{.State.StartedAt}} {{index .Config.Labels \"one-shot\"}}"
    ids=$(containers)
    [ -z "$ids" ] || printf '%s\n' "$ids" | xargs docker inspect --format "$line"
}

# Sorts the containers of $seen: $failed and $waiting describe them, $broken lists the names of both, $unchecked counts
# those that run without a health check.
judge() {
    failed='' waiting='' broken='' unchecked=0
    while read -r name status health code _ one_shot; do
        name=${name#/}
        case $status:$health:$one_shot in
            running:*:true) waiting="$waiting $name (has not ended)" ;;
            running:healthy:*) continue ;;
            running:none:*) unchecked=$((unchecked + 1)) && continue ;;
            running:unhealthy:*) failed="$failed $name (unhealthy)" ;;
            running:* | created:* | restarting:*) waiting="$waiting $name ($status, health: $health)" ;;
            exited:*:true) [ "$code" != 0 ] || continue; failed="$failed $name (exited with $code)" ;;
            *) failed="$failed $name ($status with $code)" ;;
        esac
        broken="$broken $name"
    done <<EOF
$seen
EOF
}

# Ends the hook: what the containers in $broken say, then the reason. The reason comes last because CodeDeploy keeps
# only the end of a long log.
give_up() {
    for name in $broken; do
        say "--- $name: last lines of its log"
        docker logs --tail 20 "$name" 2>&1 || true
        say "--- $name: last health check"
        docker inspect --format '{{with .State.Health}}{{range .Log}}{{println .Output}}{{end}}{{end}}' "$name" |
            sed '/^$/d' | tail -n 3
    done >&2
    fail "$1"
}

say "waiting up to ${limit}s for $project"
end=$(($(date +%s) + limit))
before='' told=''
while :; do
    seen=$(look)
    now=$(date +%s)
    [ -n "$seen" ] || fail "$project has no containers" 'did ApplicationStart run, with the same application and group?'
    judge
    [ -z "$failed" ] || give_up "$project does not work:$failed"
    if [ -z "$waiting" ]; then
        # A restart changes the time of start, and with it $seen: the clock starts again.
        if [ "$seen" != "$before" ]; then steady=$now; fi
        if [ "$unchecked" = 0 ] || [ $((now - steady)) -ge "$settle" ]; then break; fi
        waiting=" $unchecked without a health check to keep running for ${settle}s"
        broken=$(printf '%s\n' "$seen" | sed -n 's#^/\([^ ]*\) running none .*#\1#p')
    fi
    before=$seen
    [ "$now" -lt "$end" ] || give_up "$project does not work after ${limit}s, still waiting for:$waiting"
    if [ "$waiting" != "$told" ]; then say "waiting for:$waiting"; told=$waiting; fi
    sleep 1
done
say "$project works:"
printf '%s\n' "$seen" | sed 's#^/\([^ ]*\) \([^ ]*\) \([^ ]*\) .*#  \1 \2, health: \3#'
