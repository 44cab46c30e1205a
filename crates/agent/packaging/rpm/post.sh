# $1 is the number of this package's versions after the step: 1 on a first installation, 2 on an upgrade.
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null 2>&1 || :
fi
if [ "$1" = 1 ]; then
    # Presets of the host have the last word on what is enabled, as for every package.
    systemctl preset longshore-agent.service >/dev/null 2>&1 || :
fi
