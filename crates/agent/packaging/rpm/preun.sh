# 0: the package goes. An upgrade stops nothing.
if [ "$1" = 0 ]; then
    systemctl --no-reload disable longshore-agent.service >/dev/null 2>&1 || :
    if [ -d /run/systemd/system ]; then
        systemctl stop longshore-agent.service >/dev/null 2>&1 || :
    fi
fi
