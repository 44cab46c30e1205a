use longshore_core::appspec;
use longshore_core::problem::{Look, render};

use super::*;
use crate::plan::Planned;
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
    script(&Script { named, appspec: &recipe.appspec_source, bytes: bytes.to_vec(), executable }, os)
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

fn plan_of(files: &[&str]) -> BuildPlan {
    let planned = |path: &&str| {
        let path: BundlePath = path.parse().unwrap();
        (path.clone(), Planned { from: path, kind: PlannedKind::File { size: 10, executable: false } })
    };
    BuildPlan { files: files.iter().map(planned).collect(), scripts: Default::default() }
}

#[test]
fn files_that_look_like_secrets_are_named() {
    let plan = plan_of(&[
        ".env",
        ".env.prod",
        ".env.example",
        "app/.env.sample",
        "deploy/id_rsa",
        "deploy/id_rsa.pub",
        "tls/site.pfx",
        ".npmrc",
        "home/.aws/credentials",
        "credentials.md",
        "infra/terraform.tfstate",
        "environment.yml",
        "my.env",
    ]);
    let problems = bundle(&plan, &[]);
    let named: Vec<&str> = problems.iter().map(|problem| problem.source.name.as_str()).collect();
    assert_eq!(
        named,
        [
            ".env",
            ".env.prod",
            ".npmrc",
            "deploy/id_rsa",
            "home/.aws/credentials",
            "infra/terraform.tfstate",
            "tls/site.pfx"
        ]
    );
    insta::assert_snapshot!(render(&problems[..1], Look::Plain));
}

#[test]
fn a_certificate_is_no_secret_but_its_key_is() {
    let plan = plan_of(&["tls/cert.pem", "tls/site.key", "tls/dk.pem"]);
    assert_eq!(wants_peek(&plan).len(), 3);
    let peek = |path: &str, head: &[u8]| Peek { path: path.parse().unwrap(), head: head.to_vec() };
    let problems = bundle(
        &plan,
        &[
            peek("tls/cert.pem", b"-----BEGIN CERTIFICATE-----\n"),
            peek("tls/site.key", b"-----BEGIN PRIVATE KEY-----\n"),
            peek("tls/dk.pem", b"-----BEGIN CERTIFICATE-----\n..\n-----BEGIN RSA PRIVATE KEY-----\n"),
        ],
    );
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

#[test]
fn a_name_with_a_line_break_is_no_file_that_an_agent_installs() {
    assert_eq!(
        render(&bundle(&plan_of(&["a b", "a\nb"]), &[]), Look::Plain),
        "warning[LS412]: a name with a line break: no agent can install the file, because its records have one line for each\n\
         --> a\\nb\n = help: rename it, or keep it out\n"
    );
}

#[test]
fn a_git_lfs_pointer_is_not_the_file() {
    let head = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n".to_vec();
    let problems = bundle(&plan_of(&[]), &[Peek { path: "models/big.bin".parse().unwrap(), head }]);
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

#[test]
fn a_submodule_that_is_not_checked_out_is_named() {
    let text = "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib.git\n[submodule \"ui\"]\n\tpath = ui\n";
    let modules = SourceFile::new(".gitmodules", text);
    let problems = submodules(&modules, &|path| path.as_str() == "vendor/lib");
    insta::assert_snapshot!(render(&problems, Look::Plain));
}
