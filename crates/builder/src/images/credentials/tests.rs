use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A keychain of one file, and of what else the environment says.
fn keychain(config: &str, variables: &[(&str, &str)]) -> Result<Keychain, CredentialsError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let variables: Vec<_> = variables.iter().copied().chain([("DOCKER_CONFIG", path.as_str())]).collect();
    Keychain::read(&Environment::of(&variables))
}

fn password(user: &str, password: &str) -> Option<Secret> {
    Some(Secret::Password { user: user.into(), password: password.into() })
}

#[test]
fn what_docker_login_wrote_is_found_under_every_spelling_of_the_registry() {
    // ann:hush, bob:a:b and carol:x with the NUL that old versions wrote.
    let config = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "YW5uOmh1c2g="},
        "https://ghcr.io": {"auth": "Ym9iOmE6Yg=="},
        "http://old:5000/v1/": {"auth": "Y2Fyb2w6eAA="},
        "plain.io/folder": {"username": "dan", "password": "p"},
        "identity.io": {"auth": "YW5uOmh1c2g=", "identitytoken": "id"},
        "token.io": {"registrytoken": "reg"},
        "helped.io": {}
    }, "HttpHeaders": {"X": "y"}}"#;
    let keychain = keychain(config, &[]).unwrap();
    for (registry, expected) in [
        ("docker.io", password("ann", "hush")),
        ("ghcr.io", password("bob", "a:b")),
        ("old:5000", password("carol", "x")),
        ("plain.io", password("dan", "p")),
        ("identity.io", Some(Secret::Identity("id".into()))),
        ("token.io", Some(Secret::Registry("reg".into()))),
        ("helped.io", None),
        ("index.docker.io.evil.io", None),
        ("old", None),
    ] {
        let login = keychain.login(registry);
        assert_eq!(login.secret, expected, "{registry}");
        assert_eq!((login.origin.starts_with("`auths` of `"), login.trouble.is_none()), (expected.is_some(), true));
    }
}

#[test]
fn the_variable_of_ci_systems_comes_before_the_file() {
    let (ann, bob) = (
        r#"{"auths": {"a.io": {"username": "ann"}}}"#,
        r#"{"auths": {"a.io": {"username": "bob"}, "b.io": {"username": "bob"}}}"#,
    );
    let keychain = keychain(bob, &[("DOCKER_AUTH_CONFIG", ann)]).unwrap();
    assert_eq!(keychain.login("a.io").secret, password("ann", ""));
    assert_eq!(keychain.login("a.io").origin, "`auths` of `DOCKER_AUTH_CONFIG`");
    assert_eq!(keychain.login("b.io").secret, password("bob", ""));
}

#[test]
fn without_a_configuration_we_are_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::of(&[("HOME", folder.path().to_str().unwrap())]);
    let keychain = Keychain::read(&environment).unwrap();
    assert_eq!(keychain.login("docker.io").secret, None);
    fs::create_dir(folder.path().join(".docker")).unwrap();
    fs::write(folder.path().join(".docker/config.json"), r#"{"auths": {"a.io": {"username": "ann"}}}"#).unwrap();
    assert_eq!(Keychain::read(&environment).unwrap().login("a.io").secret, password("ann", ""));
    assert_eq!(Keychain::read(&Environment::of(&[])).unwrap().login("a.io").secret, None);
}

#[test]
fn a_configuration_that_is_wrong_is_named_and_none_of_it_shown() {
    let error = keychain("{\"auths\": {\"a.io\": \"s3cret\"}}", &[]).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "no JSON as Docker writes it, at line 1, column 27");
    assert!(error.to_string().ends_with("/config.json` is not right"), "{error}");
    for auth in ["!", "/w==", "bm8gY29sb24="] {
        let keychain = keychain(&format!("{{\"auths\": {{\"a.io\": {{\"auth\": \"{auth}\"}}}}}}"), &[]).unwrap();
        let trouble = keychain.login("a.io").trouble.unwrap().to_string();
        assert!(trouble.starts_with("`auth` of `a.io` in `"), "{trouble}");
        assert!(trouble.ends_with("is not what `docker login` writes"), "{trouble}");
    }
}

/// Helpers by their whole path: a name with slashes runs no other program.
struct Helpers(tempfile::TempDir);

impl Helpers {
    fn new(scripts: &[(&str, &str)]) -> Helpers {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            let path = folder.path().join(format!("docker-credential-{name}"));
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Helpers(folder)
    }

    fn ask(&self, name: &str, server: &str) -> Result<Option<Secret>, String> {
        let program = self.0.path().join(format!("docker-credential-{name}"));
        let asked = ask(program.to_str().unwrap(), server, "`config.json`");
        asked.map(|found| found.map(|(secret, _)| secret)).map_err(|error| {
            let error = longshore_core::failure::chain(&error);
            error.replace(self.0.path().to_str().unwrap(), "[dir]")
        })
    }
}

#[test]
fn a_helper_is_asked_as_docker_asks_it() {
    let helpers = Helpers::new(&[
        ("echo", r#"read server; echo "{\"ServerURL\": \"$server\", \"Username\": \"$1\", \"Secret\": \"$server\"}""#),
        ("token", r#"echo '{"ServerURL": "a.io", "Username": "<token>", "Secret": "id"}'"#),
        ("nobody", "echo 'credentials not found in native keychain'; exit 1"),
        ("broken", "echo 's3cret'; echo 's3cret' >&2; exit 3"),
        ("chatty", "echo 's3cret'"),
    ]);
    for (name, expected) in [
        ("echo", Ok(password("get", HUB_KEY))),
        ("token", Ok(Some(Secret::Identity("id".into())))),
        ("nobody", Ok(None)),
        (
            "broken",
            Err("the credential helper `[dir]/docker-credential-broken` of `config.json` failed (exit status: 3)"),
        ),
        (
            "chatty",
            Err(
                "the credential helper `[dir]/docker-credential-chatty` of `config.json` gave no answer that Docker would understand",
            ),
        ),
        (
            "missing",
            Err(
                "the credential helper of `config.json` cannot be asked: cannot start `[dir]/docker-credential-missing`: No such file or directory (os error 2)",
            ),
        ),
    ] {
        assert_eq!(helpers.ask(name, server("docker.io")), expected.map_err(str::to_owned), "{name}");
    }
}

#[test]
fn the_helper_of_a_registry_comes_before_that_of_all_and_both_before_the_file() {
    let config = r#"{"credHelpers": {"a.io": "own", "hub.io": ""}, "credsStore": "all"}"#;
    let config: Config = serde_json::from_str(config).unwrap();
    assert_eq!(["a.io", "b.io"].map(|registry| config.helper(registry)), [Some("own"), Some("all")]);
    let none: Config = serde_json::from_str("{}").unwrap();
    assert_eq!(none.helper("a.io"), None);
}

#[test]
fn a_helper_that_is_missing_is_a_trouble_and_what_stands_in_the_file_still_holds() {
    let config = r#"{"credsStore": "of-another-machine", "auths": {"a.io": {"username": "ann"}}}"#;
    let keychain = keychain(config, &[]).unwrap();
    assert_eq!(keychain.login("a.io").secret, password("ann", ""));
    let login = keychain.login("b.io");
    assert_eq!(login.secret, None);
    assert!(login.trouble.unwrap().to_string().starts_with("the credential helper of `"), "the trouble is told");
}

#[test]
fn a_secret_is_not_in_what_is_printed_for_us() {
    let login = Login { secret: password("ann", "hush"), origin: "here".into(), trouble: None };
    assert_eq!(format!("{login:?}"), "Login { secret: Some(Password(…)), origin: \"here\", trouble: None }");
}
