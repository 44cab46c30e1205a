use longshore_core::problem::{Look, render};
use proptest::prelude::*;

use super::*;

fn host(name: &str) -> Known {
    if name == "OUTER" { Known::Value("outer".to_owned()) } else { Known::Unset }
}

fn values(text: &str) -> Vec<(String, String)> {
    let (entries, problems) = read(&SourceFile::new(".env", text), &host);
    assert_eq!(problems, [], "{text}");
    entries.into_iter().map(|(name, entry)| (name, entry.value)).collect()
}

#[test]
fn values_are_what_compose_reads() {
    let table = [
        ("A=plain", "plain"),
        ("A = spaced ", "spaced"),
        ("A=", ""),
        ("A=a # comment", "a"),
        ("A=a#b", "a#b"),
        ("A= # comment", "# comment"),
        ("export A=1", "1"),
        ("A: yaml", "yaml"),
        ("A='single $OUTER' # c", "single $OUTER"),
        (r"A='it\'s'", "it's"),
        (r#"A="double $OUTER\n\"x\"""#, "double outer\n\"x\""),
        ("A=\"two\nlines\"", "two\nlines"),
        (r#"A="\$OUTER $$x""#, "$OUTER $x"),
        ("A=$OUTER", "outer"),
        ("A=${NONE:-d}-${OUTER:+y}", "d-y"),
        ("A=$NONE", ""),
        ("A=${broken", "${broken"),
        ("\u{feff}A=1\r\n", "1"),
        ("# A=0\n\nA=1\nA=2\n", "2"),
    ];
    for (text, value) in table {
        assert_eq!(values(text), [("A".to_owned(), value.to_owned())], "{text}");
    }
}

#[test]
fn later_lines_know_earlier_ones() {
    let read = values("HOST=db\nURL=pg://${HOST}/${NONE}\nHOST=other\nPASSED_THROUGH\n");
    assert_eq!(read, [("HOST".into(), "other".into()), ("URL".into(), "pg://db/".into())]);
}

#[test]
fn what_compose_refuses_has_a_place() {
    let (entries, problems) = read(&SourceFile::new(".env", "two words\n=1\nA B=1\nOK=1\nQ=\"open\nNEXT=1\n"), &host);
    assert_eq!(entries.into_keys().collect::<Vec<_>>(), ["NEXT", "OK"]);
    insta::assert_snapshot!(render(&problems, Look::Plain));
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "[A=:'\"\\\\$${} #\\n\\r\\tü]{0,80}") {
        let source = SourceFile::new(".env", text.clone());
        let (entries, problems) = read(&source, &host);
        for span in entries.values().map(|entry| entry.span.clone()).chain(problems.into_iter().filter_map(|p| p.span)) {
            prop_assert!(text.get(span).is_some());
        }
    }
}
