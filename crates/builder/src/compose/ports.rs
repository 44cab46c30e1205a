//! Pure: the published ports of a service, in the short and the long form.

use super::tree::{Place, Tree};

/// One published port, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// The address of the host; empty: all.
    pub(crate) address: String,
    /// The first port on the host.
    pub(crate) first: u16,
    /// The last.
    pub(crate) last: u16,
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    /// Where it stands.
    pub(crate) place: Place,
}

impl Port {
    /// How many ports of the host it takes.
    pub(crate) fn count(&self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether both want one port of the host.
    pub(crate) fn meets(&self, other: &Port) -> bool {
        let everywhere = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
        self.protocol == other.protocol
            && self.first <= other.last
            && other.first <= self.last
            && (self.address == other.address || everywhere(&self.address) || everywhere(&other.address))
    }

    /// The port for people: `8080`, `127.0.0.1:8080`, `8080-8090`.
    pub(crate) fn shown(&self) -> String {
        let address = if self.address.is_empty() { String::new() } else { format!("{}:", self.address) };
        let last = if self.last == self.first { String::new() } else { format!("-{}", self.last) };
        format!("{address}{}{last}", self.first)
    }
}

/// The ports of the host that a service asks for by number. A port that only a host knows is left out.
pub(crate) fn published(service: &Tree) -> Vec<Port> {
    let items = service.get("ports").map(Tree::items).unwrap_or_default();
    items.iter().filter_map(|item| if item.entries().is_empty() { short(item) } else { long(item) }).collect()
}

/// By what two entries of `ports` are the same one.
pub(crate) fn identity(item: &Tree) -> Option<String> {
    let target = match item.as_text() {
        Some(text) => split(&text.text).2.to_owned(),
        None => item.get("target")?.text()?.to_owned(),
    };
    match if item.entries().is_empty() { short(item) } else { long(item) } {
        Some(port) => Some(format!("{} {target} {}", port.shown(), port.protocol)),
        None => item.as_text().map(|text| text.text.clone()),
    }
}

fn long(item: &Tree) -> Option<Port> {
    let text = |key: &str| item.get(key).and_then(Tree::text).map(ToOwned::to_owned);
    let (first, last) = range(&text("published")?)?;
    let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
    Some(Port { address: text("host_ip").unwrap_or_default(), first, last, protocol, place: item.place.clone() })
}

/// `[[address:]published:]target[/protocol]`.
fn short(item: &Tree) -> Option<Port> {
    let (address, published, _, protocol) = split(item.text()?);
    let (first, last) = range(published?)?;
    let place = item.place.clone();
    Some(Port { address: address.to_owned(), first, last, protocol: protocol.to_owned(), place })
}

/// Address, published, target, protocol.
fn split(text: &str) -> (&str, Option<&str>, &str, &str) {
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let Some((host, target)) = ports.rsplit_once(':') else { return ("", None, ports, protocol) };
    match host.rsplit_once(':') {
        Some((address, published)) => {
            (address.trim_start_matches('[').trim_end_matches(']'), Some(published), target, protocol)
        }
        None => ("", Some(host), target, protocol),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}
