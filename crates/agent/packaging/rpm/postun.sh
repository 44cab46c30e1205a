# 0: the package is gone; 1: it was upgraded, and the new agent takes the old one's place where that runs.
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null 2>&1 || :
    if [ "$1" = 1 ]; then
        systemctl try-restart longshore-agent.service >/dev/null 2>&1 || :
    fi
fi
if [ "$1" = 0 ]; then
    rm -rf /run/longshore
    for link in /usr/local/bin/codedeploy-local /opt/codedeploy-agent/bin/codedeploy-local; do
        if [ "$(readlink "$link" 2>/dev/null)" = /usr/bin/longshore-agent ]; then rm -f "$link"; fi
    done
fi
