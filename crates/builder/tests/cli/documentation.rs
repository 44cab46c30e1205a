use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The codes of problems in a text: `LS` and three digits. 1xx are the appspec's and documented elsewhere.
fn codes(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("LS").map(|(at, _)| &text[at..]);
    starts
        .filter_map(|rest| rest.get(..5))
        .filter(|code| code[2..].bytes().all(|b| b.is_ascii_digit()) && !code.starts_with("LS1"))
        .map(str::to_owned)
        .collect()
}

fn codes_of_sources(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(codes_of_sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(codes(&fs::read_to_string(path).unwrap()));
        }
    }
    found
}

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documented = codes(&fs::read_to_string(root.join("../../docs/reference/longshore.md")).unwrap());
    // `LS420–LS424` is one row.
    documented.extend(["LS421".to_owned(), "LS422".to_owned(), "LS423".to_owned()]);
    assert_eq!(codes_of_sources(&root.join("src")), documented);
}
