printf 'const key = "%s%s";\n' AIza q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQo > firebase.js
