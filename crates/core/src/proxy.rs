//! Which proxy a connection takes: what the settings say, else the variables that programs agree on. Pure.
//!
//! What `NO_PROXY` means is left to the HTTP clients, which all ask the same library: names with everything below them, with
//! or without a dot before, addresses, networks (`10.0.0.0/8`), and `*`.

use std::fmt;
use std::str::FromStr;

/// Where no proxy leads: this host, and the link that the metadata service and the credentials of containers are on.
const NEVER: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10,fd00:ec2::254,fd00:ec2::23";

/// The address of a proxy. A user name and password in it are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    scheme: &'static str,
    /// With what is needed to be an address: `user:p%40ss`.
    user: Option<String>,
    /// `host:port`
    host: String,
}

/// A text that is no address of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy {}`{shown}` {why}", origin.as_ref().map_or(String::new(), |origin| format!("in `{origin}` ")))]
pub struct InvalidProxy {
    /// The text, without user name and password.
    pub shown: String,
    /// The variable that it stands in.
    pub origin: Option<&'static str>,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The proxies of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<ProxyUrl>,
    /// For `https://`.
    pub https: Option<ProxyUrl>,
    /// What is reached without one, in the words of `NO_PROXY`.
    pub direct: String,
}

impl Proxies {
    /// The one that somebody set, for everything; else those that the variables name, in capital or small letters. What
    /// `NO_PROXY` names is reached without either.
    pub fn find(set: Option<&ProxyUrl>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Proxies, InvalidProxy> {
        let direct = match first(["NO_PROXY", "no_proxy"], variable) {
            Some((_, direct)) => format!("{direct},{NEVER}"),
            None => NEVER.to_owned(),
        };
        if let Some(proxy) = set {
            return Ok(Proxies { http: Some(proxy.clone()), https: Some(proxy.clone()), direct });
        }
        let of = |names| match first(names, variable).or_else(|| first(["ALL_PROXY", "all_proxy"], variable)) {
            None => Ok(None),
            Some((name, text)) => {
                text.parse().map(Some).map_err(|error: InvalidProxy| InvalidProxy { origin: Some(name), ..error })
            }
        };
        Ok(Proxies { http: of(["HTTP_PROXY", "http_proxy"])?, https: of(["HTTPS_PROXY", "https_proxy"])?, direct })
    }
}

/// The first variable that holds something.
fn first(names: [&'static str; 2], variable: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let held = |name| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    names.into_iter().find_map(|name| Some((name, held(name)?)))
}

impl ProxyUrl {
    /// The whole address, with user name and password: for HTTP clients alone.
    pub fn with_secrets(&self) -> String {
        match &self.user {
            Some(user) => format!("{}://{user}@{}", self.scheme, self.host),
            None => self.to_string(),
        }
    }
}

impl FromStr for ProxyUrl {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<ProxyUrl, InvalidProxy> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        // A password may hold an `@`, a host never.
        let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        let host = host.strip_suffix('/').unwrap_or(host);
        let invalid = |why| InvalidProxy { shown: format!("{scheme}://{host}"), origin: None, why };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "http",
            "https" => "https",
            _ => return Err(invalid("must be one for HTTP: `http://HOST:PORT` or `https://HOST:PORT`")),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port);
        let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if host.is_empty() || host.starts_with(':') || !host.chars().all(plain) || !port_is_right {
            return Err(invalid(
                "must be `http://HOST:PORT`, with `USER:PASSWORD@` before the host where it wants them",
            ));
        }
        let user = user.filter(|user| !user.is_empty()).map(quoted);
        Ok(ProxyUrl { scheme, user, host: host.to_owned() })
    }
}

/// A user name and password with everything that would end them written as `%XX`; what is written so already stays.
fn quoted(user: &str) -> String {
    let mut quoted = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

/// Without user name and password.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password_and_given_to_clients_with_it() {
        for (text, shown, whole) in [
            ("http://proxy:3128", "http://proxy:3128", "http://proxy:3128"),
            ("proxy.example.com:8080", "http://proxy.example.com:8080", "http://proxy.example.com:8080"),
            ("HTTPS://proxy/", "https://proxy", "https://proxy"),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128", "http://[fd00::1]:3128"),
            ("http://[fd00::1]", "http://[fd00::1]", "http://[fd00::1]"),
            ("http://ann:hush@proxy:1", "http://proxy:1", "http://ann:hush@proxy:1"),
            ("http://ann:h@u/s#h%41@proxy:1", "http://proxy:1", "http://ann:h%40u%2Fs%23h%41@proxy:1"),
            ("ann@proxy:1", "http://proxy:1", "http://ann@proxy:1"),
        ] {
            let proxy: ProxyUrl = text.parse().unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.with_secrets().as_str()), (shown, whole), "{text}");
            assert_eq!(format!("{proxy:?}"), format!("ProxyUrl({shown})"));
        }
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_refused_without_showing_a_password() {
        let shape = "must be `http://HOST:PORT`, with `USER:PASSWORD@` before the host where it wants them";
        let scheme = "must be one for HTTP: `http://HOST:PORT` or `https://HOST:PORT`";
        for (text, shown, why) in [
            ("", "http://", shape),
            ("http://", "http://", shape),
            ("http://ann:hush@", "http://", shape),
            ("http://:3128", "http://:3128", shape),
            ("http://proxy:0", "http://proxy:0", shape),
            ("http://proxy:port", "http://proxy:port", shape),
            ("http://proxy/path", "http://proxy/path", shape),
            ("socks5://ann:hush@proxy:1080", "socks5://proxy:1080", scheme),
        ] {
            let error = text.parse::<ProxyUrl>().unwrap_err();
            assert_eq!(error.to_string(), format!("the proxy `{shown}` {why}"), "{text}");
        }
    }

    #[test]
    fn the_setting_wins_over_the_variables_and_these_count_in_capital_and_small_letters() {
        let proxy = |text: &str| Some(text.parse::<ProxyUrl>().unwrap());
        type Case =
            (Option<&'static str>, &'static [(&'static str, &'static str)], [Option<&'static str>; 2], &'static str);
        let table: [Case; 8] = [
            (None, &[], [None, None], ""),
            (None, &[("HTTPS_PROXY", "http://a:1")], [None, Some("a:1")], ""),
            (None, &[("https_proxy", "http://a:1"), ("http_proxy", "b:2")], [Some("b:2"), Some("a:1")], ""),
            (None, &[("HTTPS_PROXY", ""), ("https_proxy", "http://a:1")], [None, Some("a:1")], ""),
            (None, &[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:2")], [None, Some("a:1")], ""),
            (None, &[("all_proxy", "a:1"), ("HTTP_PROXY", "b:2")], [Some("b:2"), Some("a:1")], ""),
            (
                None,
                &[("ALL_PROXY", "a:1"), ("no_proxy", ".x.org, 10.0.0.0/8")],
                [Some("a:1"); 2],
                ".x.org, 10.0.0.0/8,",
            ),
            (Some("c:3"), &[("HTTPS_PROXY", "a:1"), ("NO_PROXY", "y")], [Some("c:3"); 2], "y,"),
        ];
        for (set, variables, [http, https], direct) in table {
            let variable =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned());
            let found = Proxies::find(set.and_then(proxy).as_ref(), &variable).unwrap();
            let expected = Proxies {
                http: http.and_then(proxy),
                https: https.and_then(proxy),
                direct: format!("{direct}{NEVER}"),
            };
            assert_eq!(found, expected, "{set:?} {variables:?}");
        }
        let variable = |name: &str| (name == "ALL_PROXY").then(|| "socks5://ann:hush@proxy:1080".to_owned());
        assert_eq!(
            Proxies::find(None, &variable).unwrap_err().to_string(),
            "the proxy in `ALL_PROXY` `socks5://proxy:1080` must be one for HTTP: `http://HOST:PORT` or `https://HOST:PORT`"
        );
    }
}
