use longshore_core::appspec;
use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Look, Problem, SourceFile, render};

use super::script::Script;
use super::{files, script, secret, value};
use crate::recipe::Recipe;
use crate::settings::Settings;

fn lint_script(os: &str, bytes: &[u8], executable: bool) -> Vec<Problem> {
    let text =
        format!("version: 0.0\nos: {os}\nhooks:\n  AfterInstall:\n    - location: scripts/a.sh\n      timeout: 60\n");
    let source = SourceFile::new("appspec.yml", text);
    let appspec = appspec::parse(&source).appspec.expect("a valid appspec");
    let os = appspec.os;
    let path = "appspec.yml".parse().unwrap();
    let recipe = Recipe { settings: Settings::none(), appspec_path: path, appspec_source: source, appspec };
    let named = recipe.scripts().remove(0);
    script::lint(&Script { named, appspec: &recipe.appspec_source, bytes: bytes.to_vec(), executable }, os)
}

#[test]
fn every_lint_of_a_script_is_shown_with_its_way_out() {
    let mut text = String::new();
    let cases: [(&str, &[u8], bool); 11] = [
        ("not executable", b"#!/bin/sh\ntrue\n", false),
        ("empty", b"", true),
        ("blank", b"\n \n", true),
        ("no shebang", b"set -e\ndocker compose up\n", true),
        ("almost a shebang", b"# !/usr/bin/env bash\ntrue\n", true),
        ("CR LF in the shebang", b"#!/bin/bash\r\ntrue\r\n", true),
        ("CR LF further down", b"#!/bin/bash\nset -e\ncd /srv\r\ntrue\r\n", true),
        ("CR LF without a shebang", b"set -e\r\n", true),
        ("CR LF under `env`", b"#!/usr/bin/env -S bash -e\ntrue\r\n", true),
        ("a byte order mark in a shell script", b"\xef\xbb\xbf#!/bin/sh\ntrue\n", true),
        ("a byte order mark in another language", b"\xef\xbb\xbf#!/usr/bin/env python3\nprint()\n", true),
    ];
    for (case, bytes, executable) in cases {
        let problems = lint_script("linux", bytes, executable);
        text.push_str(&format!("# {case}\n{}\n", render(&problems, Look::Plain)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_works_is_left_in_peace() {
    let cases: [(&str, &str, &[u8], bool); 6] = [
        ("a shell script", "linux", b"#!/bin/sh\ntrue\n", true),
        ("a program", "linux", b"\x7fELF\x02\x01\r\n", true),
        ("another language may have CR LF", "linux", b"#!/usr/bin/env perl\nprint 1;\r\n", true),
        ("a shebang with an argument", "linux", b"#!/usr/bin/env -S bash -e\ntrue\n", true),
        ("not UTF-8", "linux", b"#!/bin/sh\necho caf\xe9\n", true),
        ("a batch file", "windows", b"@echo off\r\n", false),
    ];
    for (case, os, bytes, executable) in cases {
        assert_eq!(lint_script(os, bytes, executable), [], "{case}");
    }
}

fn path(text: &str) -> BundlePath {
    text.parse().unwrap()
}

#[test]
fn files_that_look_like_secrets_are_known_by_name_and_some_by_what_is_in_them() {
    let key: &[u8] = b"-----BEGIN CERTIFICATE-----\n..\n-----BEGIN RSA PRIVATE KEY-----\n";
    for (name, head, expected) in [
        (".env", &b""[..], true),
        (".env.prod", b"", true),
        ("deploy/id_rsa", b"", true),
        ("home/.aws/credentials", b"", true),
        ("infra/terraform.tfstate", b"", true),
        ("tls/site.pfx", b"", true),
        ("tls/site.key", b"-----BEGIN PRIVATE KEY-----\n", true),
        ("tls/chain.pem", key, true),
        (".npmrc", b"//registry.npmjs.org/:_authToken=0a1b2c\n", true),
        ("home/.docker/config.json", br#"{"auths": {"x": {"auth": "Zm9v"}}}"#, true),
        (".env.example", b"", false),
        ("app/.env.sample", b"", false),
        ("deploy/id_rsa.pub", b"", false),
        ("credentials.md", b"", false),
        ("environment.yml", b"", false),
        (".env.local", b"", true),
        (".env-prod", b"", true),
        (".env.dist", b"A_SECRET=f3b1c9d27a\n", false),
        (".env.example.prod", b"A_SECRET=f3b1c9d27a\n", false),
        ("environment", b"A_SECRET=f3b1c9d27a\n", false),
        ("my.env", b"", false),
        ("conf/prod.env", b"LEVEL=info\nexport DB_PASSWORD='f3b1c9d27a' # of prod\n", true),
        (".envrc", b"export API_KEY=f3b1c9d27a\n", true),
        ("prod.env", b"DATABASE_URL=postgres://shop:f3b1c9d27a@db/shop\n", true),
        ("prod.env", b"DB_PASSWORD=\nDB_PASSWORD_FILE=/run/secrets/db\nTOKEN_TTL=3600\n", false),
        ("prod.env", b"DB_PASSWORD=${DB_PASSWORD:?}\nAPI_KEY=<the key>\nSECRET=changeme-please\n", false),
        ("dev.env", b"POSTGRES_PASSWORD=postgres\nDATABASE_URL=postgres://shop:postgres@db/shop\n", false),
        ("example.env", b"DB_PASSWORD=f3b1c9d27a\n", false),
        ("conf/vault.env", b"VAULT_TOKEN=f3b1c9d27a\n", true),
        ("default.env", b"VAULT_TOKEN=f3b1c9d27a\n", true),
        ("prod-schema.env", b"VAULT_TOKEN=f3b1c9d27a\n", true),
        (".env.vault", b"VAULT_TOKEN=f3b1c9d27a\n", false),
        (".env.schema", b"", false),
        (".env.d.ts", b"interface ImportMetaEnv {}\n", false),
        (".env.enc", b"DB_PASSWORD=ENC[AES256_GCM,data:Zm9v,iv:YmFy]\n", false),
        (".env.sops", b"DB_PASSWORD=f3b1c9d27a\n", true),
        (".env.gpg", b"\x85\x01\x0c\x03\n", false),
        (".ENV", b"", true),
        ("prod.ENV", b"DB_PASS=f3b1c9d27a\n", true),
        ("app.env.prod", b"MYSQL_PWD=f3b1c9d27a\n", true),
        ("app.env.py", b"SECRET_KEY = read()\n", false),
        ("env.production", b"DB_PW=f3b1c9d27a\n", true),
        ("env.production", b"LEVEL=info\n", false),
        ("env.rs", b"SECRET=f3b1c9d27a\n", false),
        (".yarnrc.yml", b"npmAuthToken: \"f3b1c9d27a\"\n", true),
        (".yarnrc.yml", b"nodeLinker: node-modules\nnpmAuthToken: \"${NPM_TOKEN}\"\n", false),
        (".my.cnf", b"[client]\npassword = f3b1c9d27a\n", true),
        ("ops/.kube/config", b"users:\n- user:\n    token: eyJ0=\n", true),
        ("prod.kubeconfig", b"users:\n- user:\n    client-key-data: LS0t==\n", true),
        ("kubeconfig", b"users:\n- user:\n    exec: {command: aws}\n", false),
        ("_netrc", b"", true),
        ("config/master.key", b"0123456789abcdef", true),
        ("home/.cargo/credentials.toml", b"", true),
        ("config.json", br#"{"auths": {"x": {"auth": "Zm9v"}}}"#, true),
        ("config.json", br#"{"login": {"auth": "basic"}}"#, false),
        ("config.json", br#"{"auths": {"x": {"auth": ""}}, "credsStore": "ecr-login"}"#, false),
        (".npmrc", b"//registry.example/:_auth=Zm9vOmJhcg==\n", true),
        ("tls/cert.pem", b"-----BEGIN CERTIFICATE-----\n", false),
        (".npmrc", b"registry=https://registry.npmjs.org/\n", false),
        (".npmrc", b"//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n", false),
        ("home/.docker/config.json", br#"{"credsStore": "ecr-login"}"#, false),
    ] {
        let problem = secret::file(&path(name), head);
        assert_eq!(problem.is_some_and(|problem| problem.is_error()), expected, "{name}");
    }
}

#[test]
fn a_value_is_a_secret_by_its_name_unless_it_only_says_where_one_is() {
    for (name, value, expected) in [
        ("DB_PASS", "f3b1c9d27a", true),
        ("MYSQL_PWD", "f3b1c9d27a", true),
        ("PWD", "/srv", false),
        ("JWT_KEY", "f3b1c9d27a884e0fb6c2aa05", true),
        ("JWT_KEY", "Ab3dEf6hIjKlMnOpQrSt", true),
        ("APP_KEY", "base64:q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQoP5iXy=", true),
        ("JWT_KEY", "user_id", false),
        ("S3_KEY", "releases/shop-2024-11-20", false),
        ("KMS_KEY", "1234abcd-12ab-34cd-56ef-1234567890ab", false),
        ("VAPID_PUBLIC_KEY", "Ab3dEf6hIjKlMnOpQrSt", false),
        ("DB_PASSWORD", "ENC[AES256_GCM,data:Zm9v]", false),
        ("DB_PASSWORD", "op://shop/db/password", false),
        ("DB_PASSWORD", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:db", false),
        ("DB_PASSWORD", "ssm:/prod/db", false),
        ("DB_PASSWORD", "$(aws ssm get-parameter --name db)", false),
        ("DB_PASSWORD", "{{ db_password }}", false),
        ("DB_PASSWORD", "%DB_PASSWORD%", false),
        ("DB_PASSWORD", "__DB_PASSWORD__", false),
        ("DB_PASSWORD", "TODO", false),
        ("DB_PASSWORD", "todo9fX", true),
        ("PASSWORD_HASHER", "argon2id", false),
        ("SECRET_BACKEND", "vault-kv", false),
        ("SECRET_PROVIDER", "aws-ssm", false),
        ("PASSWORD_RESET_EXPIRES_IN", "3600", false),
        ("DATABASE_URL", "postgres://shop:{{ pw }}@db/shop", false),
    ] {
        assert_eq!(value::secret(name, value).is_some(), expected, "{name}={value}");
    }
}

#[test]
fn a_submodule_that_is_not_checked_out_is_named() {
    let text = "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib.git\n[submodule \"ui\"]\n\tpath = ui\n";
    let modules = SourceFile::new(".gitmodules", text);
    let problems = files::submodules(&modules, &|path| path.as_str() == "vendor/lib");
    insta::assert_snapshot!(render(&problems, Look::Plain));
}
