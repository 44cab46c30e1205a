use proptest::prelude::*;

use super::*;

fn lookup(name: &str) -> Known {
    match name {
        "SET" | "A" => Known::Value(name.to_lowercase()),
        "EMPTY" => Known::Value(String::new()),
        "HOST" => Known::OnHost,
        _ => Known::Unset,
    }
}

/// The text, then what is unknown: `NAME` blank, `NAME?` of the host, `NAME!text` required; then what is malformed.
fn short(text: &str) -> String {
    let filled = fill(text, &lookup);
    let mut short = filled.text;
    for Unknown { name, why } in filled.unknown {
        short.push_str(&match why {
            Why::Blank => format!(" {name}"),
            Why::OnHost => format!(" {name}?"),
            Why::Required(said) => format!(" {name}!{said}"),
        });
    }
    for range in filled.malformed {
        short.push_str(&format!(" malformed:{}", &text[range]));
    }
    short
}

#[test]
fn every_operator_does_what_compose_does_with_a_value_that_is_set_empty_or_unset() {
    let table: &[(&str, [&str; 3])] = &[
        ("$@", ["set", "", " NONE"]),
        ("${@}", ["set", "", " NONE"]),
        ("${@:-d}", ["set", "d", "d"]),
        ("${@-d}", ["set", "", "d"]),
        ("${@:?why}", ["set", " EMPTY!why", " NONE!why"]),
        ("${@?why}", ["set", "", " NONE!why"]),
        ("${@:?}", ["set", " EMPTY!", " NONE!"]),
        ("${@:+alt}", ["alt", "", ""]),
        ("${@+alt}", ["alt", "alt", ""]),
    ];
    for (text, expected) in table {
        for (name, expected) in ["SET", "EMPTY", "NONE"].iter().zip(expected) {
            let text = text.replace('@', name);
            assert_eq!(short(&text), *expected, "{text}");
        }
    }
}

#[test]
fn a_text_is_filled_in_as_a_whole() {
    let table = [
        ("", ""),
        ("plain", "plain"),
        ("$$A", "$A"),
        ("$$$A", "$a"),
        ("a$A-b${A}c", "aa-bac"),
        ("$A.b/$A:1", "a.b/a:1"),
        ("${NONE:-${EMPTY:-$A}}/x", "a/x"),
        ("${NONE:-a{b}c", "a{bc"),
        ("${NONE:-x${NONE2:-}y}", "xy"),
        ("${NONE:-$NONE2}", " NONE2"),
        ("${NONE:?needs $A}", " NONE!needs a"),
        ("${NONE:-a:b-c?d+e}", "a:b-c?d+e"),
        ("${NONE-}", ""),
        ("${HOST}-${HOST:-d}", "- HOST? HOST?"),
        ("${NONE:-ü}ü", "üü"),
        // Compose refuses these.
        ("${}", "${} malformed:${}"),
        ("${A", "${A malformed:${A"),
        ("${1}", "${1} malformed:${1}"),
        ("${A:x}", "${A:x} malformed:${A:x}"),
        ("${A!}", "${A!} malformed:${A!}"),
        ("$", "$ malformed:$"),
        ("5$ and $A", "5$ and a malformed:$"),
    ];
    for (text, expected) in table {
        assert_eq!(short(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_filling_in_panic(text in "[$${}:?+A-a0 ü\\n-]{0,60}") {
        let filled = fill(&text, &lookup);
        for range in filled.malformed {
            prop_assert!(text.get(range).is_some());
        }
    }

    #[test]
    fn a_text_without_a_dollar_stays_as_it_is(text in "[^$]{0,60}") {
        prop_assert_eq!(fill(&text, &lookup), Filled { text, ..Filled::default() });
    }
}
