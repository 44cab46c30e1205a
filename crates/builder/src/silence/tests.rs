use super::*;

const SCRIPT: &str = "#!/bin/sh\n# longshore: allow LS221 because it may fail\na\nb # longshore: allow LS222, LS223\nc\n\
                      # longshore: allow LS224\n# and a reason\n\nd\n# longshore: allow nothing\ne\n";

fn at(source: &Arc<SourceFile>, code: &'static str, line: usize) -> Problem {
    let start = source.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    Problem::warning(code, source, Some(start..start), "x")
}

fn left(problems: Vec<Problem>, silences: &[Silence]) -> Vec<&'static str> {
    judge(problems, silences, &|_| true).problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn a_comment_is_about_its_line_or_the_next_one() {
    let script = SourceFile::new("a.sh", SCRIPT);
    let silences = Silence::of_comments(&script);
    for (code, line, silent) in [
        ("LS221", 1, true),
        ("LS221", 3, true),
        ("LS221", 4, false),
        ("LS222", 4, true),
        ("LS223", 4, true),
        ("LS223", 5, false),
        ("LS224", 4, false),
        ("LS225", 3, false),
    ] {
        let judged = judge(vec![at(&script, code, line)], &silences, &|_| false);
        assert_eq!(judged.silenced.len(), usize::from(silent), "{code} in line {line}");
    }
    let other = SourceFile::new("b.sh", SCRIPT);
    assert_eq!(judge(vec![at(&other, "LS221", 3)], &silences, &|_| false).silenced, [], "another file");
}

#[test]
fn settings_and_flags_are_about_all_files_or_those_that_a_pattern_names() {
    let toml = SourceFile::new("longshore.toml", "");
    let silence = |file| vec![Silence::of("LS221", file, Said::Flag, &toml, None).0];
    let problem = |name: &str| vec![at(&SourceFile::new(name, "a"), "LS221", 1)];
    for (file, name, silent) in [
        (None, "scripts/a.sh", true),
        (Some("scripts/a.sh"), "scripts/a.sh", true),
        (Some("scripts/"), "scripts/a.sh", true),
        (Some("*.sh"), "scripts/a.sh", true),
        (Some("/a.sh"), "scripts/a.sh", false),
        (Some("b.sh"), "scripts/a.sh", false),
    ] {
        assert_eq!(left(problem(name), &silence(file)).is_empty(), silent, "{file:?} {name}");
    }
}

#[test]
fn a_silence_that_does_nothing_or_can_do_nothing_is_told() {
    let toml = SourceFile::new("longshore.toml", "");
    let wish = |code: &str, said| Silence::of(code, None, said, &toml, None).0;
    let error = |code| vec![Problem::error(code, &toml, None, "x")];
    assert_eq!(left(Vec::new(), &[wish("LS221", Said::Settings)]), ["LS418"]);
    assert_eq!(
        left(Vec::new(), &[wish("LS221", Said::Flag)]),
        Vec::<&str>::new(),
        "a flag may be for several projects"
    );
    assert_eq!(left(error("LS205"), &[wish("LS205", Said::Settings)]), ["LS205", "LS419"]);
    assert_eq!(left(error("LS401"), &[wish("LS401", Said::Flag)]), ["LS401", "LS419"]);
    assert_eq!(left(error("LS330"), &[wish("LS330", Said::Settings)]), Vec::<&str>::new(), "an opinion");
    let unasked = judge(Vec::new(), &[wish("SC2086", Said::Settings)], &|code| !code.starts_with("SC"));
    assert_eq!(unasked.problems, [], "nobody looked");
}

#[test]
fn codes_have_two_letters_and_their_digits() {
    for (text, expected) in
        [("LS221", true), ("SC2086", true), ("LS22", false), ("ls221", false), ("SC208", false), ("LS2211", false)]
    {
        assert_eq!(is_code(text), expected, "{text}");
    }
}
