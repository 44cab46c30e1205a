printf '{"private_key": "-----BEGIN %s KEY-----\\n%s%s\\n"}\n' PRIVATE q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQoP5iXy q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQoP5iXy > account.json
