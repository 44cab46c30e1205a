use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn names_are_read_as_docker_reads_them() {
    for (text, canonical, name) in [
        ("nginx", "docker.io/library/nginx:latest", "nginx"),
        ("nginx:1.27-alpine", "docker.io/library/nginx:1.27-alpine", "nginx"),
        ("library/nginx", "docker.io/library/nginx:latest", "library/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx:latest", "docker.io/nginx"),
        ("index.docker.io/me/app:1", "docker.io/me/app:1", "index.docker.io/me/app"),
        ("me/app", "docker.io/me/app:latest", "me/app"),
        ("me/team/app", "docker.io/me/team/app:latest", "me/team/app"),
        ("ghcr.io/me/app:v1", "ghcr.io/me/app:v1", "ghcr.io/me/app"),
        ("localhost/app", "localhost/app:latest", "localhost/app"),
        ("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app"),
        ("registry:5000/app", "registry:5000/app:latest", "registry:5000/app"),
        ("Registry/app", "Registry/app:latest", "Registry/app"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app"),
        ("[fd00::1]/app", "[fd00::1]/app:latest", "[fd00::1]/app"),
        ("a__b/c-d.e_f--g:_x", "docker.io/a__b/c-d.e_f--g:_x", "a__b/c-d.e_f--g"),
        ("registry:5000", "docker.io/library/registry:5000", "registry"),
    ] {
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((reference.to_string().as_str(), reference.name.as_str()), (canonical, name), "{text}");
    }
}

#[test]
fn a_digest_stands_alone_or_beside_a_tag_and_is_what_is_wanted() {
    for (text, canonical, wanted) in [
        (format!("nginx@{DIGEST}"), format!("docker.io/library/nginx@{DIGEST}"), DIGEST),
        (format!("host:1/a/b:t@{DIGEST}"), format!("host:1/a/b:t@{DIGEST}"), DIGEST),
        ("a/b:t".to_owned(), "docker.io/a/b:t".to_owned(), "t"),
    ] {
        let reference: Reference = text.parse().unwrap();
        assert_eq!((reference.to_string(), reference.wanted()), (canonical, wanted), "{text}");
        let digest = DIGEST.parse().unwrap();
        assert_eq!(reference.pinned(&digest), format!("{}@{DIGEST}", reference.name));
    }
}

#[test]
fn what_names_no_image_is_refused_with_the_reason() {
    let id = "a".repeat(64);
    let long = "a/".repeat(128);
    let tag = format!("a:{}", "x".repeat(129));
    let host = "is no host of a registry";
    let component = "must be letters and digits, with `.`, `_`, `__` or `-` between them, and is not";
    for (text, why) in [
        ("", "the name is missing".to_owned()),
        (":1", "the name is missing".to_owned()),
        ("a:", "the tag after `:` is missing".to_owned()),
        ("a:-x", "the tag `-x` must be at most 128 letters, digits, `_`, `.` or `-`, and is not".to_owned()),
        (&tag, format!("the tag `{}` must be at most 128 letters, digits, `_`, `.` or `-`, and is not", &tag[2..])),
        ("Nginx", "a name has no capital letters".to_owned()),
        ("a/B", "a name has no capital letters".to_owned()),
        ("a//b", "a part of the name is empty".to_owned()),
        ("a/b/", "a part of the name is empty".to_owned()),
        ("-a", format!("`-a` {component}")),
        ("a___b", format!("`a___b` {component}")),
        ("a..b", format!("`a..b` {component}")),
        ("a b", format!("`a b` {component}")),
        ("ä", format!("`ä` {component}")),
        ("${X}", "a name has no capital letters".to_owned()),
        ("a:1:2", "the tag `1:2` must be at most 128 letters, digits, `_`, `.` or `-`, and is not".to_owned()),
        ("https://ghcr.io/a", format!("`https:` {host}")),
        ("host:port/a", format!("`host:port` {host}")),
        ("host:99999/a", format!("`host:99999` {host}")),
        ("-h.io/a", format!("`-h.io` {host}")),
        ("[zz:]/a", format!("`[zz:]` {host}")),
        ("a@sha256:1", "`sha256:1` is no digest: `sha256:` and 64 digits of 0-9a-f, or `sha512:` and 128".to_owned()),
        (&id, "an id of an image on one machine means nothing on another".to_owned()),
        (&long, "the name has 256 characters, and 255 is the most".to_owned()),
    ] {
        let refused = text.parse::<Reference>().expect_err(text);
        assert_eq!(refused, InvalidReference { text: text.to_owned(), why }, "{text}");
    }
}

/// A little generator of random numbers, the same in every run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn whatever_is_read_is_read_again_from_its_canonical_name() {
    const PIECES: [&str; 16] = [
        "a",
        "B",
        "0",
        ".",
        "-",
        "_",
        "__",
        ":",
        "/",
        "@",
        "localhost",
        "docker.io/",
        ":5000/",
        "sha256:",
        DIGEST,
        "ä",
    ];
    let (mut state, mut read) = (7, 0);
    for _ in 0..200_000 {
        let length = 1 + next(&mut state) % 6;
        let text: String = (0..length).map(|_| PIECES[next(&mut state) % PIECES.len()]).collect();
        let Ok(reference) = text.parse::<Reference>() else { continue };
        read += 1;
        let again: Reference = reference.to_string().parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let place = |it: &Reference| (it.registry.clone(), it.repository.clone(), it.tag.clone(), it.digest.clone());
        assert_eq!(place(&again), place(&reference), "{text}");
        assert!(text.starts_with(&reference.name), "{text}");
    }
    assert!(read > 1000, "only {read} texts were names");
}
