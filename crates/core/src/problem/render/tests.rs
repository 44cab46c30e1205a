use super::*;

fn problem(text: &str, span: Span) -> Problem {
    let source = SourceFile::new("deploy/appspec.yml", text);
    Problem::error("LS105", &source, Some(span), "must be at least 1, found 0")
}

fn plain(problem: Problem) -> String {
    render(&[problem], Look::Plain)
}

#[test]
fn a_problem_looks_like_one_of_rustc() {
    let text = "hooks:\n  AfterInstall:\n    - timeout: 0\n      runas: root\n";
    let zero = text.find('0').unwrap();
    let runas = text.find("runas").unwrap();
    let problem = problem(text, zero..zero + 1)
        .at_path("hooks.AfterInstall[0].timeout")
        .with_related(runas..runas + 5, "the same script")
        .with_fix("write the seconds");
    insta::assert_snapshot!(plain(problem), @"
    error[LS105]: hooks.AfterInstall[0].timeout: must be at least 1, found 0
     --> deploy/appspec.yml:3:16
      |
    3 |     - timeout: 0
      |                ^
    4 |       runas: root
      |       ----- the same script
      |
      = help: write the seconds
    ");
}

#[test]
fn two_problems_have_a_blank_line_between_them() {
    let source = SourceFile::new("appspec.yml", "os: linux\n");
    let problems = [
        Problem::warning("LS110", &source, Some(0..2), "has no effect").at_path("os"),
        Problem::error("LS111", &source, None, "the file is empty"),
    ];
    insta::assert_snapshot!(render(&problems, Look::Plain), @"
    warning[LS110]: os: has no effect
     --> appspec.yml:1:1
      |
    1 | os: linux
      | ^^

    error[LS111]: the file is empty
    --> appspec.yml
    ");
    assert_eq!(render(&[], Look::Plain), "");
}

#[test]
fn colours_come_only_when_asked_for() {
    let problem = problem("timeout: 0\n", 9..10);
    assert!(!plain(problem.clone()).contains('\u{1b}'));
    assert!(render(&[problem], Look::Coloured).contains("\u{1b}[1m\u{1b}[91merror[LS105]"));
}

#[test]
fn the_caret_stands_below_wide_characters_tabs_and_crlf() {
    let text = "a: 1\r\nn: 日本語 yes\r\nt:\t\t0\r\n";
    let yes = text.find("yes").unwrap();
    insta::assert_snapshot!(plain(problem(text, yes..yes + 3)), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:2:8
      |
    2 | n: 日本語 yes
      |           ^^^
    ");
    let zero = text.find('0').unwrap();
    insta::assert_snapshot!(plain(problem(text, zero..text.len())), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:3:5
      |
    3 | t:        0
      |           ^
    ");
}

#[test]
fn a_place_of_several_lines_is_marked_on_its_first() {
    insta::assert_snapshot!(plain(problem("a:\n  b: 1\n  c: 2\n", 5..17)), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:2:3
      |
    2 |   b: 1
      |   ^^^^
    ");
}

#[test]
fn the_end_of_a_file_is_a_place() {
    insta::assert_snapshot!(plain(problem("a: 1\n", 5..5)), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:2:1
      |
    2 |
      | ^
    ");
    insta::assert_snapshot!(plain(problem("", 0..0)), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:1:1
      |
    1 |
      | ^
    ");
}

#[test]
fn a_byte_order_mark_moves_no_column() {
    insta::assert_snapshot!(plain(problem("\u{feff}a: 0\n", 6..7)), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:1:4
      |
    1 | a: 0
      |    ^
    ");
    let json = problem("\u{feff}a: 0\n", 6..7).to_json();
    assert_eq!((&json["line"], &json["column"]), (&1.into(), &4.into()));
}

#[test]
fn a_long_line_is_cut_around_the_place_and_a_very_long_one_is_only_named() {
    let text = format!("a: {} here {}\n", "x".repeat(300), "y".repeat(500));
    insta::assert_snapshot!(plain(problem(&text, 304..308)), @"
    error[LS105]: must be at least 1, found 0
     --> deploy/appspec.yml:1:305
      |
    1 | ...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx here yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...
      |                                                                   ^^^^
    ");
    let text = format!("a: {}\n", "x".repeat(LONGEST_LINE));
    insta::assert_snapshot!(plain(problem(&text, 3..8).with_related(0..1, "first here")), @"
    error[LS105]: must be at least 1, found 0
    --> deploy/appspec.yml:1:4
     = note: line 1, column 1: first here
    ");
}

#[test]
fn no_control_character_reaches_the_terminal() {
    let nasty = "\u{1b}[31m\u{9b}31m\u{7}\u{202e}\u{2066}\u{200b}\u{7f}\r";
    let text = format!("a: {nasty}x\n");
    let source = SourceFile::new(format!("a{nasty}.yml"), text.clone());
    let problem = Problem::warning("LS110", &source, Some(3..text.len()), format!("found `{nasty}`\nnext"))
        .at_path(nasty)
        .with_fix(nasty)
        .with_related(0..1, nasty);
    let shown = plain(problem);
    let bad = |c: char| (c.is_control() && c != '\n') || is_invisible(c);
    assert!(!shown.contains(bad), "{shown:?}");
    assert!(shown.starts_with(r"warning[LS110]: \u{1b}[31m\u{9b}31m\u{7}"), "{shown}");
}

#[test]
fn json_has_every_part() {
    let problem = problem("a: 0\nb:\n  c: ü\n", 3..15).at_path("a").with_related(5..6, "there");
    let json = serde_json::to_string_pretty(&problem.to_json()).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "severity": "error",
      "code": "LS105",
      "file": "deploy/appspec.yml",
      "line": 1,
      "column": 4,
      "end_line": 3,
      "end_column": 7,
      "path": "a",
      "message": "must be at least 1, found 0",
      "fix": null,
      "related": [
        {
          "line": 2,
          "column": 1,
          "end_line": 2,
          "end_column": 2,
          "label": "there"
        }
      ]
    }
    "#);
    let source = SourceFile::new("appspec.yml", "");
    let whole = Problem::warning("LS104", &source, None, "empty").with_fix("write it").to_json();
    insta::assert_snapshot!(whole, @r#"{"severity":"warning","code":"LS104","file":"appspec.yml","line":null,"column":null,"end_line":null,"end_column":null,"path":"","message":"empty","fix":"write it","related":[]}"#);
}

proptest::proptest! {
    #[test]
    fn any_place_in_any_text_renders(text in proptest::prelude::any::<String>(), a in 0usize..40, b in 0usize..40, c in 0usize..40) {
        let problem = problem(&text, a.min(b)..a.max(b)).with_related(c..c + 2, "here").at_path(text.clone());
        let shown = plain(problem.clone());
        proptest::prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        let _ = (render(std::slice::from_ref(&problem), Look::Coloured), problem.to_json());
    }
}
