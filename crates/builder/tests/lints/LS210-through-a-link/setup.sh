ln -s /opt/scripts scripts
