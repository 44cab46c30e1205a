//! Pure: `$NAME` and `${NAME…}` in a text, by the rules of `docker compose`. Does not know where values come from.

use std::ops::Range;

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It has this value.
    Value(String),
    /// It has a value on every host, which nobody knows here.
    OnHost,
    /// Nothing says that it has one.
    Unset,
}

/// A text with its variables filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filled {
    /// The text. Where a value is not known it has nothing.
    pub(crate) text: String,
    /// Whether it held any variable.
    pub(crate) varies: bool,
    /// The variables that would make another text if they had a value, in order.
    pub(crate) unknown: Vec<Unknown>,
    /// Parts that begin like a variable and are none, which compose refuses: bytes of the text that was given.
    pub(crate) malformed: Vec<Range<usize>>,
}

/// A variable without a value where one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Its name.
    pub(crate) name: String,
    /// Why nothing stands in its place.
    pub(crate) why: Why,
}

/// Why a text is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The host decides.
    OnHost,
    /// Compose puts an empty text in its place.
    Blank,
    /// `:?` and `?`: compose fails, with this text.
    Required(String),
}

/// What stands behind the name in braces.
struct Operator<'t> {
    /// Whether an empty value counts as none: `:-`, `:?`, `:+`.
    or_empty: bool,
    sign: char,
    word: &'t str,
}

/// How deep defaults may stand in defaults.
const DEEPEST: usize = 32;

/// Fills in a text.
pub(crate) fn fill(text: &str, lookup: &dyn Fn(&str) -> Known) -> Filled {
    let mut filled = Filled::default();
    fill_into(&mut filled, text, 0, lookup, DEEPEST);
    filled
}

/// `offset`: where the text begins in the one that was given.
fn fill_into(filled: &mut Filled, text: &str, offset: usize, lookup: &dyn Fn(&str) -> Known, depth: usize) {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        filled.text.push_str(&rest[..dollar]);
        let at = offset + text.len() - rest.len() + dollar;
        let after = &rest[dollar + 1..];
        if depth == 0 {
            // Too deep: said once, for what stands here and within.
            if filled.malformed.is_empty() {
                filled.malformed.push(at..at + 1 + after.find('\n').unwrap_or(after.len()));
            }
            filled.text.push_str(&rest[dollar..]);
            return;
        }
        if let Some(escaped) = after.strip_prefix('$') {
            filled.text.push('$');
            rest = escaped;
            continue;
        }
        let inside = after.strip_prefix('{');
        let name = name_of(inside.unwrap_or(after));
        let parsed = match inside {
            None => Some((None, &after[name.len()..])),
            Some(inside) => closing(inside).map(|end| (Some(&inside[name.len()..end]), &inside[end + 1..])),
        };
        let operator = |tail: &'_ str| tail.is_empty() || operator(tail).is_some();
        match parsed {
            Some((tail, next)) if !name.is_empty() && tail.is_none_or(operator) => {
                filled.varies = true;
                let offset = at + 2 + name.len();
                substitute(filled, name, tail.unwrap_or_default(), offset, lookup, depth - 1);
                rest = next;
            }
            Some(_) | None => {
                let end = parsed.map_or(after.len(), |(_, next)| after.len() - next.len());
                filled.malformed.push(at..at + 1 + end.min(after.find('\n').unwrap_or(after.len())));
                // What cannot be read stays as it is.
                filled.text.push('$');
                rest = after;
            }
        }
    }
    filled.text.push_str(rest);
}

fn substitute(
    filled: &mut Filled,
    name: &str,
    tail: &str,
    offset: usize,
    lookup: &dyn Fn(&str) -> Known,
    depth: usize,
) {
    let known = lookup(name);
    let mut unknown = |why| filled.unknown.push(Unknown { name: name.to_owned(), why });
    let Some(Operator { or_empty, sign, word }) = operator(tail) else {
        match known {
            Known::Value(value) => filled.text.push_str(&value),
            Known::OnHost => unknown(Why::OnHost),
            Known::Unset => unknown(Why::Blank),
        }
        return;
    };
    let word_offset = offset + tail.len() - word.len();
    let value = match known {
        // What it is decides what stands here.
        Known::OnHost => return unknown(Why::OnHost),
        Known::Value(value) if !(or_empty && value.is_empty()) => Some(value),
        Known::Value(_) | Known::Unset => None,
    };
    match (sign, value) {
        ('-' | '?', Some(value)) => filled.text.push_str(&value),
        ('-', None) | ('+', Some(_)) => fill_into(filled, word, word_offset, lookup, depth),
        ('?', None) => {
            let mut said = Filled::default();
            fill_into(&mut said, word, word_offset, lookup, depth);
            unknown(Why::Required(said.text));
        }
        // `+` without a value: nothing is meant to stand here.
        (_, _) => {}
    }
}

/// A letter or `_`, then also digits; empty where there is no name.
fn name_of(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

fn operator(tail: &str) -> Option<Operator<'_>> {
    let (or_empty, rest) = match tail.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, tail),
    };
    let sign = rest.chars().next().filter(|sign| "-?+".contains(*sign))?;
    Some(Operator { or_empty, sign, word: &rest[1..] })
}

/// Where the brace closes that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 1;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            b'{' if at > 0 && bytes[at - 1] == b'$' => open += 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
