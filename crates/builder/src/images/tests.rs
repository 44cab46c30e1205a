use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::server::{Response, Server};
use super::*;

/// Somebody without a daemon, and without a configuration.
fn environment() -> Environment {
    Environment::of(&[("DOCKER_HOST", "unix:///nowhere"), ("DOCKER_CONFIG", "/nowhere")])
}

fn digests(images: &[String], environment: &Environment) -> (Digests, Vec<String>) {
    let images: Vec<Reference> = images.iter().map(|image| image.parse().unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let told = Mutex::new(Vec::new());
    let found = runtime.block_on(async {
        let resolver = Resolver::open(environment).await.unwrap();
        resolver.digests(&images, &|image, _| told.lock().unwrap().push(image.to_owned())).await
    });
    (found, told.into_inner().unwrap())
}

fn digest_of(text: &str) -> String {
    format!("sha256:{}", longshore_core::digest::Sha256::of(text.as_bytes()))
}

#[test]
fn each_image_is_asked_for_once_and_eight_at_the_same_time() {
    // How many are asked at the moment, and how many were at most. Nobody leaves before eight have come.
    let present = (Mutex::new((0_usize, 0_usize)), Condvar::new());
    let server = Server::start(move |_, request| {
        let (count, changed) = &present;
        let mut held = count.lock().unwrap();
        held.0 += 1;
        held.1 = held.1.max(held.0);
        changed.notify_all();
        let (mut held, waited) =
            changed.wait_timeout_while(held, Duration::from_secs(20), |(_, most)| *most < 8).unwrap();
        assert!(!waited.timed_out(), "fewer than eight at the same time");
        assert!(held.1 <= 8, "{} at the same time", held.1);
        held.0 -= 1;
        Response::new("200 OK", "").with("Docker-Content-Digest", digest_of(&request.line))
    });
    let host = &server.host;
    let mut images: Vec<String> = (0..20).map(|number| format!("{host}/app:{number}")).collect();
    images.extend([format!("{host}/app:3"), format!("{host}/other@{}", digest_of("x"))]);
    let (found, mut told) = digests(&images, &environment());
    for number in 0..20 {
        let expected = digest_of(&format!("HEAD /v2/app/manifests/{number}"));
        assert_eq!(found[&format!("{host}/app:{number}")].as_ref().unwrap().as_str(), expected);
    }
    assert_eq!(found[&format!("{host}/other@{}", digest_of("x"))].as_ref().unwrap().as_str(), digest_of("x"));
    told.sort_unstable();
    told.dedup();
    assert_eq!((server.asked().len(), found.len(), told.len()), (20, 21, 20));
}

#[test]
fn an_image_that_nobody_has_does_not_keep_others_from_their_digest() {
    let server = Server::start(|_, request| match request.line.contains("/gone/") {
        true => Response::new("404 Not Found", ""),
        false => Response::new("200 OK", "").with("Docker-Content-Digest", digest_of("here")),
    });
    let images = ["gone:1", "here:1"].map(|image| format!("{}/{image}", server.host));
    let (found, _) = digests(&images, &environment());
    assert!(matches!(
        found[&images[0]],
        Err(Unresolved { error: RegistryError::NotFound { .. }, only_here: false, .. })
    ));
    assert_eq!(found[&images[1]].as_ref().unwrap().as_str(), digest_of("here"));
}

#[test]
fn the_credentials_of_the_registry_are_used_and_a_helper_that_is_missing_is_told_when_it_matters() {
    let server = Server::start(|_, request| match request.header("authorization") {
        "Basic YW5uOmh1c2g=" => Response::new("200 OK", "").with("Docker-Content-Digest", digest_of("here")),
        _ => Response::new("401 Unauthorized", "").with("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let images = [format!("{}/a:1", server.host)];
    let with = |config: &str| Environment::of(&[("DOCKER_HOST", "unix:///nowhere"), ("DOCKER_AUTH_CONFIG", config)]);
    let config = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"YW5uOmh1c2g=\"}}}}}}", server.host);
    let (found, _) = digests(&images, &with(&config));
    assert_eq!(found[&images[0]].as_ref().unwrap().as_str(), digest_of("here"));

    let (found, _) = digests(&images, &with("{\"credsStore\": \"of-no-machine\"}"));
    let why = found[&images[0]].as_ref().unwrap_err().error.to_string().replace(&server.host, "[host]");
    let expected = "`[host]` refuses `a:1` (401 Unauthorized); it was asked without credentials: the credential helper of \
                    `DOCKER_AUTH_CONFIG` cannot be asked: cannot start `docker-credential-of-no-machine`: No such file or \
                    directory (os error 2)";
    assert_eq!(why, expected);
}

mod moved {
    use longshore_core::bundle::Manifest;
    use serde_json::json;

    use super::super::moved::{LIMIT, MovedImage, Now, moved};
    use super::*;

    fn manifest(images: &[(&str, &str, &str, &str)], files: &[&str]) -> Manifest {
        let images: Vec<_> = images
            .iter()
            .map(|(group, service, image, digest)| {
                json!({"group": group, "service": service, "image": image, "digest": digest})
            })
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|path| json!({"path": path, "kind": "file", "mode": "0644", "sha256": "0".repeat(64), "size": 0}))
            .collect();
        serde_json::from_value(json!({
            "format": 1, "tool": {"name": "longshore", "version": "1", "compressor": "x"}, "application": "shop",
            "commit": "a".repeat(40), "time": 0, "content_digest": "0".repeat(64), "images": images, "files": files,
        }))
        .unwrap()
    }

    fn found(manifest: &Manifest, environment: &Environment) -> Vec<MovedImage> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(moved(manifest, &"prod".parse().unwrap(), environment, LIMIT))
    }

    #[test]
    fn a_tag_that_leads_elsewhere_is_told_once_with_its_services_and_one_that_does_not_is_not() {
        let server = Server::start(|_, request| match request.line.as_str() {
            "HEAD /v2/gone/manifests/1" => Response::new("404 Not Found", ""),
            line => Response::new("200 OK", "").with("Docker-Content-Digest", digest_of(line)),
        });
        let name = |image: &str| format!("{}/{image}", server.host);
        let (old, same) = (digest_of("old"), digest_of("HEAD /v2/same/manifests/1"));
        let by_digest = format!("{}@{old}", name("db"));
        let images = [
            ("dev", "web", &name("other:1"), &old),
            ("prod", "db", &by_digest, &old),
            ("prod", "gone", &name("gone:1"), &old),
            ("prod", "same", &name("same:1"), &same),
            ("prod", "web", &name("moved:1"), &old),
            ("prod", "worker", &name("moved:1"), &old),
        ];
        let images: Vec<_> = images
            .iter()
            .map(|(group, service, image, digest)| (*group, *service, image.as_str(), digest.as_str()))
            .collect();
        let expected = |locked| {
            let why = format!(
                "`{}` has no `gone:1`; it was asked without credentials: Docker's configuration has none for it",
                server.host
            );
            let moved = digest_of("HEAD /v2/moved/manifests/1").parse().unwrap();
            [("gone:1", vec!["gone"], Now::Unknown(why)), ("moved:1", vec!["web", "worker"], Now::Other(moved))].map(
                |(image, services, now)| MovedImage {
                    services: services.into_iter().map(str::to_owned).collect(),
                    image: name(image),
                    recorded: old.clone(),
                    now,
                    locked,
                },
            )
        };
        for (files, locked) in
            [(vec!["appspec.yml", "docker-compose.dev.lock.yml"], false), (vec!["docker-compose.prod.lock.yml"], true)]
        {
            assert_eq!(found(&manifest(&images, &files), &environment()), expected(locked));
        }
        let asked: BTreeSet<String> = server.asked().into_iter().map(|request| request.line).collect();
        assert_eq!(asked.len(), 3, "{asked:?}");
    }

    #[test]
    fn what_keeps_us_from_asking_is_a_note_and_no_failure() {
        let digest = digest_of("old");
        let manifest = manifest(&[("prod", "web", "shop:1", &digest)], &[]);
        let broken = Environment::of(&[("DOCKER_HOST", "unix:///nowhere"), ("DOCKER_AUTH_CONFIG", "{")]);
        let found = found(&manifest, &broken);
        let [MovedImage { now: Now::Unknown(why), .. }] = found.as_slice() else { panic!("{found:?}") };
        let expected = "Docker's configuration `DOCKER_AUTH_CONFIG` is not right: no JSON as Docker writes it, at line 1, column 1";
        assert_eq!(why, expected);
    }
}
