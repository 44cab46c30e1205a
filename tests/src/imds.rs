//! The metadata service of EC2, as far as an agent asks it, on a port of this host: both protocols, roles, faults.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A running metadata service. It lives as long as the test's process.
#[derive(Debug)]
pub struct Imds {
    /// For `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

/// What the service says, and how.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The partition.
    pub partition: String,
    /// The partition's domain.
    pub domain: String,
    /// The role; `None`: the instance has no profile.
    pub role: Option<String>,
    /// How long credentials hold from the moment in which they are given, seconds; each time other ones.
    pub credentials_hold_s: i64,
    /// Instead of the numbered keys: id, secret and session token.
    pub keys: Option<[String; 3]>,
    /// What is asked for before each answer.
    pub tokens: Tokens,
    /// The HTTP status of every answer but those with tokens, when it is not what was asked for.
    pub fails_with: Option<u16>,
    /// How long each answer takes.
    pub delay: Duration,
}

/// How the service deals with tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Only who has one gets an answer (`HttpTokens=required`).
    Required,
    /// Who has none gets an answer too.
    Optional,
    /// There are none: the first protocol alone.
    None,
    /// The answer with the token never arrives, as from a container behind one hop too many.
    Lost,
}

#[derive(Debug)]
struct Shared {
    instance: Instance,
    asked: Vec<String>,
    /// The number of the one token that counts.
    token: usize,
    /// How many credentials were given.
    given: usize,
}

impl Default for Instance {
    fn default() -> Instance {
        Instance {
            id: "i-0123456789abcdef0".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            partition: "aws".to_owned(),
            domain: "amazonaws.com".to_owned(),
            role: Some("host-role".to_owned()),
            credentials_hold_s: 6 * 3600,
            keys: None,
            tokens: Tokens::Required,
            fails_with: None,
            delay: Duration::ZERO,
        }
    }
}

impl Imds {
    /// Starts a service.
    pub fn start(instance: Instance) -> Imds {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let shared = Arc::new(Mutex::new(Shared { instance, asked: Vec::new(), token: 0, given: 0 }));
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                thread::spawn(move || serve(&stream, &state));
            }
        });
        Imds { url, shared }
    }

    /// From now on it says something else.
    pub fn change(&self, change: impl FnOnce(&mut Instance)) {
        change(&mut lock(&self.shared).instance);
    }

    /// From now on no token counts that was given before.
    pub fn expire_tokens(&self) {
        lock(&self.shared).token += 1;
    }

    /// What was asked so far: method and path, and `with token` or `without token`.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared).asked.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request; the connection ends with it.
fn serve(stream: &TcpStream, shared: &Mutex<Shared>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let question = first.trim_end_matches(" HTTP/1.1").to_owned();
    let token = header("x-aws-ec2-metadata-token");
    let (delay, answer) = {
        let mut shared = lock(shared);
        let with = match token {
            _ if question.starts_with("PUT") => "",
            Some(_) => " with token",
            None => " without token",
        };
        shared.asked.push(format!("{question}{with}"));
        let ttl = header("x-aws-ec2-metadata-token-ttl-seconds");
        // As the real one: who comes through a proxy gets no token.
        let proxied = header("x-forwarded-for").is_some();
        (shared.instance.delay, shared.answer(&question, token.as_deref(), ttl.as_deref(), proxied))
    };
    thread::sleep(delay);
    let Some((status, body)) = answer else {
        // Nothing, until the other side has lost its patience.
        let _ = std::io::Read::read(&mut &*stream, &mut [0]);
        return;
    };
    let text = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    // The client may have gone.
    let _ = (&*stream).write_all(text.as_bytes());
}

impl Shared {
    /// Status and body; `None`: nothing is answered.
    fn answer(
        &mut self,
        question: &str,
        token: Option<&str>,
        ttl: Option<&str>,
        proxied: bool,
    ) -> Option<(u16, String)> {
        let nothing = |status: u16| Some((status, String::new()));
        if question == "PUT /latest/api/token" {
            let right = ttl.and_then(|ttl| ttl.parse::<u32>().ok()).is_some_and(|ttl| (1..=21600).contains(&ttl));
            return match self.instance.tokens {
                Tokens::Lost => None,
                Tokens::None => nothing(404),
                Tokens::Required | Tokens::Optional if proxied => nothing(403),
                Tokens::Required | Tokens::Optional if !right => nothing(400),
                Tokens::Required | Tokens::Optional => Some((200, format!("token-{}", self.token))),
            };
        }
        let allowed = match token {
            Some(token) => token == format!("token-{}", self.token),
            None => self.instance.tokens != Tokens::Required,
        };
        if !allowed {
            return nothing(401);
        }
        if let Some(status) = self.instance.fails_with {
            return nothing(status);
        }
        let instance = &self.instance;
        let roles = "GET /latest/meta-data/iam/security-credentials/";
        match (question, &instance.role) {
            ("GET /latest/meta-data/services/partition", _) => Some((200, instance.partition.clone())),
            ("GET /latest/meta-data/services/domain", _) => Some((200, instance.domain.clone())),
            ("GET /latest/dynamic/instance-identity/document", _) => {
                let Instance { account, id, region, .. } = instance;
                let document = serde_json::json!({ "accountId": account, "instanceId": id, "region": region });
                Some((200, document.to_string()))
            }
            (question, Some(role)) if question == roles => Some((200, role.clone())),
            (question, Some(role)) if question.strip_prefix(roles) == Some(role) => {
                self.given += 1;
                let number = self.given;
                let numbered = || [format!("ASIA{number}"), format!("secret-{number}"), format!("session-{number}")];
                let [id, secret, session] = self.instance.keys.clone().unwrap_or_else(numbered);
                let expiration = after(self.instance.credentials_hold_s);
                let credentials = serde_json::json!({
                    "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id, "SecretAccessKey": secret, "Token": session,
                    "Expiration": expiration,
                });
                Some((200, credentials.to_string()))
            }
            _ => nothing(404),
        }
    }
}

/// RFC 3339, so many seconds from now.
fn after(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let at = now.saturating_add_signed(seconds);
    // Years begin in March here, so that the leap day is the last.
    let (days, second) = (at / 86400 + 719_468, at % 86400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, era * 400 + year) } else { (month - 9, era * 400 + year + 1) };
    let mut text = format!("{year:04}-{month:02}-{day:02}T");
    let _ = write!(text, "{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
    text
}
