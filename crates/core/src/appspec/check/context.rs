//! The range of an SELinux context, by the grammar of the AWS agent 1.8.1.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{CONTEXT, Verdict};

/// `sN[-sM][:cN[.cM][,…]]`, in normal form: one sensitivity where both are equal, neighbouring categories as one run.
pub(crate) fn range(text: &str) -> Verdict<String> {
    match read(text) {
        Ok(range) => Verdict::accept(range),
        Err(why) => Verdict::refuse(CONTEXT, format!("`{text}`: {why}")).fix("write it as in `s0-s3:c0.c5,c7`"),
    }
}

fn read(text: &str) -> Result<String, String> {
    let (levels, categories) = match text.split_once(':') {
        Some((levels, categories)) => (levels, Some(categories)),
        None => (text, None),
    };
    let (low, high) = match levels.split_once('-') {
        Some((low, high)) => (number(low, 's')?, number(high, 's')?),
        None => (number(levels, 's')?, number(levels, 's')?),
    };
    if low > high {
        return Err(format!("the sensitivity s{low} is above s{high}"));
    }
    let mut range = if low == high { format!("s{low}") } else { format!("s{low}-s{high}") };
    if let Some(categories) = categories {
        range.push(':');
        range.push_str(&runs(&read_categories(categories)?));
    }
    Ok(range)
}

fn read_categories(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut categories = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('.') {
            Some((first, last)) => (category(first)?, category(last)?),
            None => (category(part)?, category(part)?),
        };
        if first > last {
            return Err(format!("the category c{first} is above c{last}"));
        }
        for category in first..=last {
            if !categories.insert(category) {
                return Err(format!("the category c{category} stands twice"));
            }
        }
    }
    Ok(categories)
}

fn category(text: &str) -> Result<u32, String> {
    match number(text, 'c')? {
        category @ 0..=1023 => Ok(category),
        category => Err(format!("a category is at most 1023, found {category}")),
    }
}

fn number(text: &str, letter: char) -> Result<u32, String> {
    let wrong = || format!("`{letter}` and a number is expected, found `{text}`");
    let digits = text.strip_prefix(letter).ok_or_else(wrong)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    digits.parse().map_err(|_| wrong())
}

/// Neighbouring categories as `cA.cB`.
fn runs(categories: &BTreeSet<u32>) -> String {
    let mut text = String::new();
    let mut left = categories.iter().copied().peekable();
    while let Some(first) = left.next() {
        let mut last = first;
        while let Some(next) = left.next_if(|next| *next == last + 1) {
            last = next;
        }
        if !text.is_empty() {
            text.push(',');
        }
        let _ = if first == last { write!(text, "c{first}") } else { write!(text, "c{first}.c{last}") };
    }
    text
}
