use super::*;
use crate::images::server::{Request, Response, Server};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn password() -> Option<Secret> {
    Some(Secret::Password { user: "ann".into(), password: "h:ush".into() })
}

fn login(secret: Option<Secret>) -> Login {
    Login { secret, origin: "`auths` of `config.json`".into(), trouble: None }
}

/// Asks for an image of a server, as this environment would.
fn ask(server: &Server, image: &str, secret: Option<Secret>) -> Result<ImageDigest, RegistryError> {
    let registries = Registries::new(&Environment::of(&[])).unwrap();
    let image: Reference = format!("{}/{image}", server.host).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(registries.digest(&image, &login(secret)))
}

/// The error's text, with its causes, the server's port taken out.
fn text(server: &Server, asked: Result<ImageDigest, RegistryError>) -> String {
    let error = asked.expect_err("the server refuses");
    let way_out = error.way_out().map(|way| format!("\n{way}")).unwrap_or_default();
    format!("{}{way_out}", longshore_core::failure::chain(&error)).replace(&server.host, "[host]")
}

fn shown(server: &Server) -> Vec<String> {
    server.asked().iter().map(|request| request.shown().replace(&server.host, "[host]")).collect()
}

fn found() -> Response {
    Response::new("200 OK", "").with("Docker-Content-Digest", DIGEST)
}

/// A registry whose token server takes whoever `accepts` says.
fn with_tokens(accepts: fn(&Request) -> bool) -> Server {
    Server::start(move |host, request| {
        if request.line.contains("/token") {
            return match accepts(request) {
                true => Response::new("200 OK", r#"{"token": "", "access_token": "t0ken", "expires_in": 300}"#),
                false => Response::new("401 Unauthorized", "wrong password"),
            };
        }
        match request.header("authorization") {
            "Bearer t0ken" => found(),
            _ => Response::new("401 Unauthorized", "").with(
                "WWW-Authenticate",
                format!(
                    "Bearer realm=\"http://{host}/token?x=y\",service=\"the registry\",scope=\"repository:me/app:pull\""
                ),
            ),
        }
    })
}

#[test]
fn a_token_is_fetched_as_whoever_we_are() {
    let asks_for = "/token?x=y&service=the+registry&scope=repository%3Ame%2Fapp%3Apull";
    let basic = "Basic YW5uOmg6dXNo";
    let posted = "grant_type=refresh_token&client_id=longshore&service=the+registry\
                  &scope=repository%3Ame%2Fapp%3Apull&refresh_token=i%26d";
    for (secret, token_request) in [
        (None, Some(format!("GET {asks_for}"))),
        (password(), Some(format!("GET {asks_for}&account=ann {basic}"))),
        (Some(Secret::Identity("i&d".into())), Some(format!("POST /token?x=y  {posted}"))),
        (Some(Secret::Registry("t0ken".into())), None),
    ] {
        let server = with_tokens(|_| true);
        assert_eq!(ask(&server, "me/app:1", secret).unwrap().as_str(), DIGEST);
        let manifest = "HEAD /v2/me/app/manifests/1";
        let expected: Vec<String> =
            [Some(manifest.to_owned()), token_request, Some(format!("{manifest} Bearer t0ken"))]
                .into_iter()
                .flatten()
                .collect();
        assert_eq!(shown(&server), expected);
    }
}

#[test]
fn lists_of_platforms_are_asked_for_first() {
    let server = Server::start(|_, request| match request.header("accept") {
        MANIFESTS => found(),
        other => Response::new("406 Not Acceptable", other),
    });
    assert_eq!(ask(&server, "app", None).unwrap().as_str(), DIGEST);
    assert!(
        MANIFESTS
            .starts_with("application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list")
    );
}

#[test]
fn a_password_goes_to_a_registry_that_asks_for_it_itself() {
    let server = Server::start(|_, request| match request.header("authorization") {
        "Basic YW5uOmg6dXNo" => found(),
        "" => Response::new("401 Unauthorized", "").with("WWW-Authenticate", "Basic realm=\"x\""),
        _ => Response::new("403 Forbidden", ""),
    });
    assert_eq!(ask(&server, "app:1", password()).unwrap().as_str(), DIGEST);
    let manifest = "HEAD /v2/app/manifests/1";
    assert_eq!(shown(&server), [manifest.to_owned(), format!("{manifest} Basic YW5uOmg6dXNo")]);
}

#[test]
fn where_head_says_nothing_the_manifest_itself_is_digested() {
    for head in ["200 OK", "405 Method Not Allowed", "501 Not Implemented"] {
        let server = Server::start(move |_, request| match request.line.starts_with("HEAD") {
            true => Response::new(head, ""),
            false => Response::new("200 OK", "{}"),
        });
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(ask(&server, "app:1", None).unwrap().as_str(), digest, "{head}");
        assert_eq!(shown(&server), ["HEAD /v2/app/manifests/1", "GET /v2/app/manifests/1"], "{head}");
    }
}

#[test]
fn a_refusal_says_who_refused_whom_and_what_to_type() {
    let refusing = |status: &'static str| Server::start(move |_, _| Response::new(status, "h:ush"));
    let as_nobody = "it was asked without credentials: Docker's configuration has none for it";
    let as_ann = "it was asked with the credentials from `auths` of `config.json`";
    for (server, secret, expected) in [
        (
            with_tokens(|_| false),
            password(),
            format!("`[host]` refuses `me/app:1` (401 Unauthorized); {as_ann}\n`docker login [host]`"),
        ),
        (
            Server::start(|_, _| Response::new("401 Unauthorized", "").with("WWW-Authenticate", "Basic realm=\"x\"")),
            None,
            format!("`[host]` refuses `me/app:1` (401 Unauthorized); {as_nobody}\n`docker login [host]`"),
        ),
        (
            refusing("403 Forbidden"),
            None,
            format!("`[host]` refuses `me/app:1` (403 Forbidden); {as_nobody}\n`docker login [host]`"),
        ),
        (
            refusing("404 Not Found"),
            None,
            format!(
                "`[host]` has no `me/app:1`; {as_nobody}\n\
                 push it first (`longshore build --push-images`); if it is private: `docker login [host]`"
            ),
        ),
        (refusing("400 Bad Request"), None, "`[host]` answered 400 Bad Request".to_owned()),
    ] {
        let asked = ask(&server, "me/app:1", secret);
        assert_eq!(text(&server, asked), expected);
    }
}

#[test]
fn a_registry_that_had_enough_is_asked_again_after_the_pause_it_wants_unless_that_is_long() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_, _| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Response::new("429 Too Many Requests", "").with("Retry-After", "1"),
        1 => Response::new("503 Service Unavailable", ""),
        _ => found(),
    });
    let started = std::time::Instant::now();
    assert_eq!(ask(&server, "app:1", None).unwrap().as_str(), DIGEST);
    assert_eq!(server.asked().len(), 3);
    assert!(started.elapsed() >= Duration::from_secs(1) + PAUSES[1], "{:?}", started.elapsed());

    let server = Server::start(|_, _| Response::new("429 Too Many Requests", "").with("Retry-After", "21600"));
    let asked = ask(&server, "app:1", None);
    let expected = "`[host]` was asked too often (429); it wants a pause of 21600 s\n\
                    wait, or log in: registries let those they know ask more often";
    assert_eq!((text(&server, asked).as_str(), server.asked().len()), (expected, 1));
}

#[test]
fn no_password_goes_where_everybody_could_read_it() {
    for realm in [
        "http://tokens.example.com/token",
        "http://127.0.0.1.example.com/token",
        "http://192.0.2.7/token",
        "ftp://127.0.0.1/token",
        "nowhere",
    ] {
        let server = Server::start(move |_, _| {
            Response::new("401 Unauthorized", "").with("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
        });
        let asked = ask(&server, "app:1", password());
        let expected = format!("`[host]` wants a token from `{realm}`, which is no address with encryption");
        assert_eq!((text(&server, asked), server.asked().len()), (expected, 1));
    }
}

#[test]
fn a_registry_of_this_host_may_have_its_tokens_at_any_name_of_this_host() {
    for name in ["127.0.0.1", "localhost"] {
        let server = Server::start(move |host, request| {
            let port = host.rsplit(':').next().unwrap();
            match (request.line.starts_with("GET /token?"), request.header("authorization")) {
                (true, "Basic YW5uOmg6dXNo") => Response::new("200 OK", r#"{"token": "t0ken"}"#),
                (false, "Bearer t0ken") => found(),
                _ => Response::new("401 Unauthorized", "")
                    .with("WWW-Authenticate", format!("Bearer realm=\"http://{name}:{port}/token\"")),
            }
        });
        assert_eq!(ask(&server, "app:1", password()).unwrap().as_str(), DIGEST, "{name}");
    }
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let digest = |value: &'static str| {
        Server::start(move |_, _| Response::new("200 OK", "").with("Docker-Content-Digest", value))
    };
    let token = |body: &'static str| {
        Server::start(move |host, request| match request.line.contains("/token") {
            true => Response::new("200 OK", body),
            false => Response::new("401 Unauthorized", "")
                .with("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\"")),
        })
    };
    let endless = |_: &str, request: &Request| match request.line.starts_with("HEAD") {
        true => Response::new("200 OK", ""),
        false => Response { body: vec![b' '; MANIFEST_LIMIT + 1], ..Response::new("200 OK", "") },
    };
    let no_token = "`[host]` gave no token that can be used";
    for (server, expected) in [
        (digest("sha256:0"), "`[host]` gave no digest that can be used"),
        (digest("md5:00"), "`[host]` gave no digest that can be used"),
        (token("{}"), no_token),
        (token("[]"), no_token),
        (token("{\"token\": \"a\\nb\"}"), no_token),
        (Server::start(endless), "the answer of `[host]` is larger than 4194304 bytes"),
    ] {
        let asked = ask(&server, "app:1", None);
        assert_eq!(text(&server, asked), expected);
    }
}

#[test]
fn only_this_host_and_registries_that_are_named_are_asked_without_encryption() {
    let environment = Environment::of(&[(INSECURE_VARIABLE, "registry:5000, lab.example.com ,")]);
    let registries = Registries::new(&environment).unwrap();
    for (image, url) in [
        ("nginx", "https://registry-1.docker.io/v2/library/nginx/manifests/latest"),
        ("ghcr.io/a/b:1", "https://ghcr.io/v2/a/b/manifests/1"),
        ("localhost/a", "http://localhost/v2/a/manifests/latest"),
        ("localhost:5000/a", "http://localhost:5000/v2/a/manifests/latest"),
        ("127.8.9.1:5000/a", "http://127.8.9.1:5000/v2/a/manifests/latest"),
        ("[::1]:5000/a", "http://[::1]:5000/v2/a/manifests/latest"),
        ("registry:5000/a", "http://registry:5000/v2/a/manifests/latest"),
        ("registry:5001/a", "https://registry:5001/v2/a/manifests/latest"),
        ("lab.example.com:8443/a", "http://lab.example.com:8443/v2/a/manifests/latest"),
        ("localhost.example.com/a", "https://localhost.example.com/v2/a/manifests/latest"),
        ("127.0.0.1.example.com/a", "https://127.0.0.1.example.com/v2/a/manifests/latest"),
    ] {
        assert_eq!(registries.url(&image.parse().unwrap()).unwrap().as_str(), url);
    }
}

#[test]
fn a_registry_behind_a_proxy_is_asked_through_it() {
    let proxy = Server::start(|_, _| found());
    let url = format!("http://{}", proxy.host);
    let environment = Environment::of(&[("http_proxy", &url), (INSECURE_VARIABLE, "registry.example.com")]);
    let registries = Registries::new(&environment).unwrap();
    let image = "registry.example.com/a:1".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(registries.digest(&image, &login(None))).unwrap().as_str(), DIGEST);
    assert_eq!(shown(&proxy), ["HEAD http://registry.example.com/v2/a/manifests/1"]);
}

#[test]
fn nobody_listening_is_said_with_the_way_to_a_proxy() {
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let registries = Registries::new(&Environment::of(&[])).unwrap();
    let image = format!("{host}/a:1").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(registries.digest(&image, &login(None))).unwrap_err();
    let said = longshore_core::failure::chain(&error);
    assert!(said.starts_with(&format!("cannot ask `{host}`: ")) && said.contains("Connection refused"), "{said}");
}
