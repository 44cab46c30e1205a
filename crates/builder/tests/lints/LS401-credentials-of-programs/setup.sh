# What holds a password is refused; what names a registry or a helper alone is not.
mkdir -p home/.docker home/.kube plain/.docker plain/.kube
printf '//registry.example/:_authToken=f3b1c9d27a\n' > home/.npmrc
printf 'npmAuthToken: "f3b1c9d27a"\n' > home/.yarnrc.yml
printf '[client]\npassword = f3b1c9d27a\n' > home/.my.cnf
printf '{"auths": {"registry.example": {"auth": "Zm9vOmJhcg=="}}}\n' > home/.docker/config.json
printf 'users:\n- name: ci\n  user:\n    token: f3b1c9d27a\n' > home/.kube/config
printf 'machine registry.example login ci password f3b1c9d27a\n' > home/.netrc
printf 'db:5432:shop:shop:f3b1c9d27a\n' > home/.pgpass
printf 'registry=https://registry.example/\n//registry.example/:_authToken=${NPM_TOKEN}\n' > plain/.npmrc
printf '{"auths": {"registry.example": {}}, "credsStore": "ecr-login"}\n' > plain/.docker/config.json
printf 'users:\n- name: ci\n  user:\n    exec: {command: aws}\n' > plain/.kube/config
