//! Pure: how a registry wants to be asked (`WWW-Authenticate`, RFC 9110 §11).

/// One way to say who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token, which a server hands out.
    Bearer {
        /// The server's URL.
        realm: String,
        /// For which registry.
        service: Option<String>,
        /// To do what.
        scope: Option<String>,
    },
}

/// The ways that the header's values name and we know. A value may name several, with commas between them and within them.
pub(crate) fn challenges<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    values.flat_map(parse).filter_map(|raw| known(&raw)).collect()
}

/// A scheme and its parameters, names in small letters.
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

fn known(raw: &Raw) -> Option<Challenge> {
    let get = |name: &str| {
        let found = raw.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    match raw.scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") }),
        _ => None,
    }
}

fn parse(value: &str) -> Vec<Raw> {
    let mut found: Vec<Raw> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|letter: char| !is_token(letter)).unwrap_or(rest.len());
        if end == 0 {
            // The end, or something that is none of ours to understand.
            return found;
        }
        let (word, after) = (rest[..end].to_ascii_lowercase(), &rest[end..]);
        let blank = after.trim_start_matches([' ', '\t']);
        match (blank.strip_prefix('='), found.last_mut()) {
            (Some(text), Some(raw)) => {
                let (value, after) = value_of(text.trim_start_matches([' ', '\t']));
                raw.parameters.push((word, value));
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push(Raw { scheme: word, parameters: Vec::new() });
                rest = blank;
            }
        }
    }
}

/// A value with or without quotes, and what stands after it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => {
                value.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(letter),
        }
    }
    (value, "")
}

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn a_challenge_is_understood_however_it_is_written() {
        let hub = bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull"));
        let table: [(&[&str], Vec<Challenge>); 13] = [
            (&[], vec![]),
            (&[""], vec![]),
            (&["Basic realm=\"x\""], vec![Challenge::Basic]),
            (&["basic"], vec![Challenge::Basic]),
            (
                &[
                    "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
                ],
                vec![hub.clone()],
            ),
            (
                &[
                    "BEARER Scope = \"repository:a/b:pull\" ,\tREALM=https://auth.docker.io/token, service=registry.docker.io",
                ],
                vec![hub.clone()],
            ),
            (
                &["Bearer realm=\"https://x/?a=b,c\",scope=\"a:b:pull,push\""],
                vec![bearer("https://x/?a=b,c", None, Some("a:b:pull,push"))],
            ),
            (&["Bearer realm=\"a\\\"b\\\\c\""], vec![bearer("a\"b\\c", None, None)]),
            (&["Bearer realm=\"open"], vec![bearer("open", None, None)]),
            (&["Bearer service=\"no realm\""], vec![]),
            (&["Negotiate, Basic realm=\"x\", Bearer realm=\"y\""], vec![Challenge::Basic, bearer("y", None, None)]),
            (&["Digest realm=\"x\", qop=\"auth\"", "Bearer realm=\"y\""], vec![bearer("y", None, None)]),
            (&["realm=\"x\""], vec![]),
        ];
        for (values, expected) in table {
            assert_eq!(challenges(values.iter().copied()), expected, "{values:?}");
        }
    }
}
