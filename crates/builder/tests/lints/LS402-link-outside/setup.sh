ln -s /etc/passwd app/passwd
