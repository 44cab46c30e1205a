//! Names with `*` in them. Linear in the length of pattern and name; the AWS agent's matcher is exponential.

/// Whether a name matches a pattern in which `*` stands for any number of characters and everything else for itself.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut literals = pattern.split('*');
    // A split yields at least one part; with no second one there is no star.
    let (first, last) = (literals.next().unwrap_or_default(), literals.next_back());
    let Some(last) = last else { return pattern == name };
    let Some(middle) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    let mut rest = middle;
    for literal in literals {
        // The leftmost place is always good enough: it leaves the most for what follows.
        match rest.find(literal) {
            Some(at) => rest = &rest[at + literal.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_number_of_characters_and_nothing_else_is_special() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", ".hidden", true),
            ("*.sh", "x.sh", true),
            ("*.sh", ".sh", true),
            ("*.sh", "x.sh.bak", false),
            ("a*b", "ab", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("*ab*ab*", "xabab", true),
            ("*ab*ab*", "xabb", false),
            ("a?c", "abc", false),
            ("[ab]", "a", false),
            ("ä*ü", "äöü", true),
            ("***", "x", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn many_stars_on_a_long_name_cost_no_time() {
        let pattern = "*a".repeat(2000) + "b";
        let name = "a".repeat(4000);
        assert!(!matches(&pattern, &name));
    }
}
