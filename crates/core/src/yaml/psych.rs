//! What YAML 1.1 reads from a scalar without quotes, by the rules of Ruby's Psych 4, which the AWS agent 1.8.1 uses.

/// What a plain scalar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Psych {
    /// Nothing, `~`, or `null` in any case.
    Null,
    /// `yes`, `no`, `on`, `off`, `true`, `false` in any case. `y` and `n` are text.
    Bool(bool),
    /// A whole number: decimal, `0b11`, `017`, `0x1F`, `1_000`, `1,000`, and base 60 as `1:30`, which is 5400.
    Int(i128),
    /// A number with a point, `.inf`, `.nan`, and base 60 with a fraction. `1e3` is text.
    Float(f64),
    /// A Ruby symbol, `:name`: as a key it is not the same as `name`.
    Symbol,
    /// Anything else, dates included, which Psych 4 refuses.
    Text,
}

/// Reads a plain scalar.
pub fn read_plain(text: &str) -> Psych {
    match text.to_ascii_lowercase().as_str() {
        "" | "~" | "null" => return Psych::Null,
        "yes" | "true" | "on" => return Psych::Bool(true),
        "no" | "false" | "off" => return Psych::Bool(false),
        ".inf" | "+.inf" => return Psych::Float(f64::INFINITY),
        "-.inf" => return Psych::Float(f64::NEG_INFINITY),
        ".nan" => return Psych::Float(f64::NAN),
        _ => {}
    }
    if text.len() > 1 && text.starts_with(':') {
        return Psych::Symbol;
    }
    base_60(text).or_else(|| float(text)).or_else(|| integer(text)).unwrap_or(Psych::Text)
}

/// Sign and the rest.
fn signed(text: &str) -> (i128, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

/// `h:mm`, `h:mm:ss`, and either with a fraction. The first part always counts 3600 and carries the sign alone: that is
/// Psych's own rule, in which `1:30` is an hour and a half.
fn base_60(text: &str) -> Option<Psych> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let (sign, unsigned) = signed(whole);
    let mut parts = unsigned.split(':');
    let hours = parts.next()?;
    let hours_ok =
        hours.starts_with(|c: char| c.is_ascii_digit()) && hours.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    let minute = |part: &&str| match part.as_bytes() {
        [ones] => ones.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    };
    let fraction_ok = fraction.is_none_or(|digits| digits.bytes().all(|b| b.is_ascii_digit() || b == b'_'));
    if !hours_ok || !(1..=2).contains(&rest.len()) || !rest.iter().all(minute) || !fraction_ok {
        return None;
    }
    let mut sum = sign * digits(hours, 10)?.checked_mul(3600)?;
    for (part, unit) in rest.iter().zip([60, 1]) {
        sum = sum.checked_add(digits(part, 10)? * unit)?;
    }
    match fraction {
        None => Some(Psych::Int(sum)),
        Some(fraction) => {
            let part: f64 = format!("0.{}", fraction.replace('_', "")).parse().unwrap_or(0.0);
            Some(Psych::Float(sum as f64 + part))
        }
    }
}

/// `[sign][digits].[digits][e(+|-)digits]`, with `_` and `,` between the digits before the point.
fn float(text: &str) -> Option<Psych> {
    let (_, unsigned) = signed(text);
    let (whole, rest) = unsigned.split_once('.')?;
    let whole_ok = whole.is_empty()
        || (whole.starts_with(|c: char| c.is_ascii_digit())
            && whole.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b','));
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(position) => (&rest[..position], Some(&rest[position + 1..])),
        None => (rest, None),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    let bare_point = whole.is_empty() && rest.is_empty();
    if !whole_ok || bare_point || !exponent_ok || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Rust's parser takes `.5` and `5.`, and refuses what has no digit at all, as Ruby's does.
    text.replace([',', '_'], "").parse().ok().map(Psych::Float)
}

fn integer(text: &str) -> Option<Psych> {
    let (sign, unsigned) = signed(text);
    let value = if let Some(binary) = unsigned.strip_prefix("0b") {
        digits(binary, 2)?
    } else if let Some(hex) = unsigned.strip_prefix("0x") {
        digits(hex, 16)?
    } else if let Some(octal) = unsigned.strip_prefix('0') {
        if octal.is_empty() || octal.bytes().all(|b| b == b'_' || b == b',') { 0 } else { digits(octal, 8)? }
    } else {
        let bytes = unsigned.as_bytes();
        let separators_alone = bytes.windows(2).all(|pair| pair[0].is_ascii_digit() || pair[1].is_ascii_digit());
        if !bytes.first().is_some_and(u8::is_ascii_digit)
            || !bytes.last().is_some_and(u8::is_ascii_digit)
            || !separators_alone
        {
            return None;
        }
        digits(unsigned, 10)?
    };
    Some(Psych::Int(sign * value))
}

/// Digits with `_` and `,` anywhere between them.
fn digits(text: &str, base: u32) -> Option<i128> {
    let digits: String = text.chars().filter(|c| *c != '_' && *c != ',').collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    i128::from_str_radix(&digits, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_psych_reads() {
        let int = Psych::Int;
        let float = Psych::Float;
        let table: &[(&str, Psych)] = &[
            ("", Psych::Null),
            ("~", Psych::Null),
            ("null", Psych::Null),
            ("NULL", Psych::Null),
            ("Null", Psych::Null),
            ("nil", Psych::Text),
            ("yes", Psych::Bool(true)),
            ("Yes", Psych::Bool(true)),
            ("oN", Psych::Bool(true)),
            ("TRUE", Psych::Bool(true)),
            ("no", Psych::Bool(false)),
            ("OFF", Psych::Bool(false)),
            ("false", Psych::Bool(false)),
            ("y", Psych::Text),
            ("n", Psych::Text),
            ("yess", Psych::Text),
            ("0", int(0)),
            ("00", int(0)),
            ("+1", int(1)),
            ("-1", int(-1)),
            ("300", int(300)),
            ("010", int(8)),
            ("0755", int(493)),
            ("-0755", int(-493)),
            ("0644", int(420)),
            ("08", Psych::Text),
            ("0789", Psych::Text),
            ("0x1F", int(31)),
            ("0b11", int(3)),
            ("0b12", Psych::Text),
            ("0o17", Psych::Text),
            ("1_000", int(1000)),
            ("1,000", int(1000)),
            ("1__0", Psych::Text),
            ("1_", Psych::Text),
            ("1:30", int(5400)),
            ("1:30:00", int(5400)),
            ("1:30:05", int(5405)),
            ("-1:30", int(-1800)),
            ("22:22", int(80_520)),
            ("1:60", Psych::Text),
            ("1:2:3:4", Psych::Text),
            ("1:30.5", float(5400.5)),
            ("0.0", float(0.0)),
            ("-0.0", float(-0.0)),
            ("0.", float(0.0)),
            (".0", float(0.0)),
            (".5", float(0.5)),
            ("5.", float(5.0)),
            ("1,000.5", float(1000.5)),
            ("1.0e+3", float(1000.0)),
            ("1.0e3", Psych::Text),
            ("1e3", Psych::Text),
            ("0e0", Psych::Text),
            (".", Psych::Text),
            ("+.", Psych::Text),
            ("0.0.", Psych::Text),
            ("1.0.0", Psych::Text),
            (".inf", float(f64::INFINITY)),
            ("-.INF", float(f64::NEG_INFINITY)),
            (":x", Psych::Symbol),
            (":", Psych::Text),
            ("300s", Psych::Text),
            ("5m", Psych::Text),
            ("-", Psych::Text),
            ("ü", Psych::Text),
            ("2026-11-21", Psych::Text),
            ("99999999999999999999999999999999999999999999", Psych::Text),
        ];
        for (text, meaning) in table {
            assert_eq!(read_plain(text), *meaning, "{text:?}");
        }
        assert!(matches!(read_plain(".nan"), Psych::Float(value) if value.is_nan()));
    }
}
