//! What the documents promise is there: the tests that `docs/reference/differences.md` names, and whatever a link leads to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::workspace_root;

/// The weaknesses of the AWS agent that touch a deployment on one host. The others are those of its daemon.
const WEAKNESSES: [std::ops::RangeInclusive<u32>; 3] = [1..=22, 29..=30, 33..=38];

#[test]
fn every_weakness_of_the_aws_agent_has_its_row_and_every_row_names_tests_that_exist() {
    let root = workspace_root();
    let text = read(&root.join("docs/reference/differences.md"));
    let rows: Vec<Vec<&str>> = text.lines().filter(|line| line.starts_with("| ")).map(cells).collect();

    let malformed: Vec<_> =
        rows.iter().filter(|row| row.len() != 4 || row.iter().any(|cell| cell.is_empty())).collect();
    assert!(malformed.is_empty(), "rows without four full cells: {malformed:#?}");

    let mut numbers: Vec<u32> = rows.iter().filter_map(|row| number(row[0])).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, WEAKNESSES.into_iter().flatten().collect::<Vec<_>>());

    let functions = functions(&root);
    let rows = rows.iter().filter(|row| row[3] != "test");
    let untested: Vec<_> = rows
        .filter(|row| {
            let mut named = row[3].split(", ").map(|name| name.trim_matches('`'));
            named.any(|name| !functions.contains(name))
        })
        .collect();
    assert!(untested.is_empty(), "rows with a test that does not exist: {untested:#?}");
}

#[test]
fn every_link_of_the_documents_leads_to_a_file_and_a_heading_that_exist() {
    let root = workspace_root();
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].iter().map(|name| root.join(name)).collect();
    documents.extend(files(&root.join("docs"), "md"));
    let mut broken = Vec::new();
    for document in &documents {
        for link in links(&prose(&read(document))) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().expect("a document stands in a folder").join(path),
            };
            let leads = target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// `#7 …`: 7.
fn number(cell: &str) -> Option<u32> {
    cell.strip_prefix('#')?.split(' ').next()?.parse().ok()
}

/// All files below a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed to its end").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

/// The names of all functions of the project.
fn functions(root: &Path) -> BTreeSet<String> {
    let sources = ["crates", "tests", "fuzz/properties"].into_iter().flat_map(|folder| files(&root.join(folder), "rs"));
    let mut names = BTreeSet::new();
    for source in sources {
        for line in read(&source).lines() {
            let after = line.split_once("fn ").and_then(|(_, after)| after.split_once('('));
            names.extend(after.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// A document without its blocks of code.
fn prose(text: &str) -> String {
    let mut code = false;
    let mut prose = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        if !code && !fence {
            prose += line;
            prose.push('\n');
        }
    }
    prose
}

/// Where the links of a document lead that stay in the repository.
fn links(prose: &str) -> Vec<String> {
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}

/// What the headings of a document are called in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}
