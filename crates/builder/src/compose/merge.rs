//! Pure: one compose document on top of another, by the rules of `docker compose`: mappings merge, lists append and have each element
//! once, commands and single values are replaced, `!reset` takes away and `!override` replaces.

use super::ports;
use super::tree::{Entry, Text, Tree, Value};

/// Lists of `NAME=value` that are mappings as well.
const PAIRS: [&str; 4] = ["annotations", "environment", "labels", "sysctls"];
/// Single texts that are lists as well.
const ONE_OR_MORE: [&str; 4] = ["dns", "dns_search", "env_file", "tmpfs"];
/// What replaces what stood there as a whole.
const REPLACED: [&str; 3] = ["command", "entrypoint", "ulimits"];

/// A document on top of another.
pub(crate) fn documents(base: Tree, over: Tree) -> Tree {
    mapping(base, over, &|key, base, over| match key {
        "services" => mapping(base, over, &|_, base, over| service(base, over)),
        _ => values(base, over),
    })
}

/// A service on top of the one that it extends, or that stands in an earlier file. Both are [`normal`].
pub(crate) fn service(base: Tree, over: Tree) -> Tree {
    mapping(base, over, &|key, base, over| match key {
        _ if REPLACED.contains(&key) => over,
        // `NAME` alone takes the value from the host, in place of the one that stood there.
        _ if PAIRS.contains(&key) => mapping(base, over, &|_, _, over| over),
        "healthcheck" => mapping(base, over, &|key, base, over| if key == "test" { over } else { values(base, over) }),
        "logging" if differ(base.get("driver"), over.get("driver")) => over,
        "ports" => unique(values(base, over), &|port| ports::identity(port)),
        "volumes" => unique(values(base, over), &target_of_mount),
        "configs" | "secrets" => unique(values(base, over), &name_of_grant),
        _ => values(base, over),
    })
}

fn differ(one: Option<&Tree>, other: Option<&Tree>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.text() != other.text())
}

type Merge<'a> = dyn Fn(&str, Tree, Tree) -> Tree + 'a;

/// Entry by entry; what is no mapping is replaced.
fn mapping(base: Tree, over: Tree, merge: &Merge<'_>) -> Tree {
    let (Value::Map(mut entries), Value::Map(others)) = (base.value.clone(), over.value.clone()) else {
        return if over.value == Value::Null { base } else { over };
    };
    for other in others {
        let position = entries.iter().position(|entry| entry.key == other.key);
        match (other.value.tag.as_deref(), position) {
            (Some("!reset"), Some(position)) => drop(entries.remove(position)),
            (Some("!reset"), None) => {}
            (Some("!override"), Some(position)) => entries[position] = other,
            (Some(_) | None, None) => entries.push(other),
            (Some(_) | None, Some(position)) => {
                let Entry { key, place, value } = other;
                let merged = merge(&key, entries[position].value.clone(), value);
                entries[position] = Entry { key, place, value: merged };
            }
        }
    }
    base.with(Value::Map(entries))
}

fn values(base: Tree, over: Tree) -> Tree {
    match (&base.value, &over.value) {
        (Value::Map(_), Value::Map(_)) => mapping(base, over, &|_, base, over| values(base, over)),
        (Value::List(items), Value::List(more)) => {
            let all = items.iter().chain(more).cloned().collect();
            let all = over.with(Value::List(all));
            unique(all, &|item| item.as_text().map(|text| text.text.clone()))
        }
        // A key without a value says nothing.
        (_, Value::Null) => base,
        (_, _) => over,
    }
}

/// Of items with one name the last, at the place of the first. An item without a name stays.
fn unique(list: Tree, name: &dyn Fn(&Tree) -> Option<String>) -> Tree {
    let Value::List(items) = &list.value else { return list };
    let mut kept: Vec<(Option<String>, Tree)> = Vec::with_capacity(items.len());
    for item in items {
        let name = name(item);
        match kept.iter_mut().find(|(known, _)| name.is_some() && *known == name) {
            Some((_, earlier)) => *earlier = item.clone(),
            None => kept.push((name, item.clone())),
        }
    }
    list.with(Value::List(kept.into_iter().map(|(_, item)| item).collect()))
}

fn target_of_mount(mount: &Tree) -> Option<String> {
    match mount.as_text() {
        Some(text) => {
            let mut parts = text.text.split(':');
            let first = parts.next()?;
            Some(parts.next().unwrap_or(first).trim_end_matches('/').to_owned())
        }
        None => mount.get("target")?.text().map(ToOwned::to_owned),
    }
}

fn name_of_grant(grant: &Tree) -> Option<String> {
    let named = grant.get("target").or_else(|| grant.get("source")).unwrap_or(grant);
    named.text().map(ToOwned::to_owned)
}

/// A document without what `!reset` takes away.
pub(crate) fn without_resets(tree: &Tree) -> Tree {
    let value = match &tree.value {
        Value::Map(entries) => {
            let kept = entries.iter().filter(|entry| entry.value.tag.as_deref() != Some("!reset"));
            Value::Map(kept.map(|entry| Entry { value: without_resets(&entry.value), ..entry.clone() }).collect())
        }
        Value::List(items) => Value::List(items.iter().map(without_resets).collect()),
        Value::Null | Value::Text(_) => tree.value.clone(),
    };
    Tree { tag: None, ..tree.with(value) }
}

/// A service in one of the several forms that compose knows for the same thing.
pub(crate) fn normal(service: &Tree) -> Tree {
    let Value::Map(entries) = &service.value else { return service.clone() };
    let entry = |entry: &Entry| Entry { value: normal_value(&entry.key, &entry.value), ..entry.clone() };
    service.with(Value::Map(entries.iter().map(entry).collect()))
}

fn normal_value(key: &str, value: &Tree) -> Tree {
    match (key, &value.value) {
        (_, Value::List(items)) if PAIRS.contains(&key) => pairs(value, items),
        (_, Value::Text(_)) if ONE_OR_MORE.contains(&key) => {
            Tree { tag: value.tag.clone(), ..value.with(Value::List(vec![Tree { tag: None, ..value.clone() }])) }
        }
        ("build", Value::Text(_)) => one_entry(value, "context", Tree { tag: None, ..value.clone() }),
        ("extends", Value::Text(_)) => one_entry(value, "service", value.clone()),
        ("build", Value::Map(entries)) => nested(value, entries, &["args", "labels"]),
        ("deploy", Value::Map(entries)) => nested(value, entries, &["labels"]),
        ("depends_on" | "networks", Value::List(items)) => {
            let keys = items.iter().filter_map(|item| Some((item.text()?.to_owned(), item)));
            let named =
                |(key, item): (String, &Tree)| Entry { key, place: item.place.clone(), value: item.with(Value::Null) };
            value.with(Value::Map(keys.map(named).collect()))
        }
        (_, Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_)) => value.clone(),
    }
}

fn nested(tree: &Tree, entries: &[Entry], keys: &[&str]) -> Tree {
    let entry = |entry: &Entry| match &entry.value.value {
        Value::List(items) if keys.contains(&entry.key.as_str()) => {
            Entry { value: pairs(&entry.value, items), ..entry.clone() }
        }
        Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) => entry.clone(),
    };
    tree.with(Value::Map(entries.iter().map(entry).collect()))
}

fn one_entry(tree: &Tree, key: &str, value: Tree) -> Tree {
    tree.with(Value::Map(vec![Entry { key: key.to_owned(), place: tree.place.clone(), value }]))
}

/// `NAME=value` items as a mapping, the last of equal names at the place of the first. Without `=`: nothing is behind the name.
fn pairs(list: &Tree, items: &[Tree]) -> Tree {
    let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.as_text() else { continue };
        let (key, value) = match text.text.split_once('=') {
            Some((key, value)) => (key, Value::Text(Text { text: value.to_owned(), ..text.clone() })),
            None => (text.text.as_str(), Value::Null),
        };
        let entry = Entry { key: key.to_owned(), place: item.place.clone(), value: item.with(value) };
        match entries.iter_mut().find(|known| known.key == key) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    list.with(Value::Map(entries))
}
