# Written in two halves, so that no token stands in this repository.
printf 'ok: 1\nci:\n  token: %s%s # of hunter2\n' ghp_ q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQoP5iXy > ci.yml
printf '[default]\naws_access_key_id = %s%s\naws_secret_access_key = %s\n' AKIA Q7RK2ZPV9STX4LMW q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQoP5iXy > aws.ini
printf 'x: "%s%s"\n' glpat- q7Rk2ZpV9sTx4LmW8bYc > allowed.yml
printf 'webhook: https://hooks.slack.com/services/%s%s\n' TQ7RK2ZPV/B9STX4LMW /q7Rk2ZpV9sTx4LmW8bYc3NdH > notify.yml
printf 'users:\n- user: {client-key-data: %s}\n' "$(head -c 400 /dev/zero | sha512sum | cut -c1-128 | base64 -w0)$(printf shop | sha512sum | cut -c1-128 | base64 -w0)" > cluster.yml
