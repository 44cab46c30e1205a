use super::*;
use proptest::prelude::*;

fn source(text: &str) -> Arc<SourceFile> {
    SourceFile::new("a.yml", text)
}

fn node(text: &str) -> Node {
    let file = source(text);
    let problem = |problem: Problem| panic!("{}", crate::problem::render(&[problem], crate::problem::Look::Plain));
    parse(&file).unwrap_or_else(problem).unwrap_or_else(|| panic!("no value in {text:?}"))
}

/// The tree in short: `{a: [1, "x"]}`, texts with quotes where they had some, tags in front.
fn short(node: &Node) -> String {
    let tag = node.tag.as_ref().map_or(String::new(), |tag| format!("{tag} "));
    match &node.value {
        Value::Scalar(scalar) => {
            let tag = scalar.tag.as_ref().map_or(String::new(), |tag| format!("{tag} "));
            if scalar.plain { format!("{tag}{}", scalar.text) } else { format!("{tag}{:?}", scalar.text) }
        }
        Value::List(items) => format!("{tag}[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |(key, value): &(Node, Node)| format!("{}: {}", short(key), short(value));
            format!("{tag}{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Every problem as `code line:column message`, related places behind it.
fn problems(text: &str) -> Vec<String> {
    let file = source(text);
    read(&file)
        .problems
        .iter()
        .map(|problem| {
            let place = |span: &Span| {
                let (line, column) = file.line_column(span.start);
                format!("{line}:{column}")
            };
            let at = problem.span.as_ref().map_or("-".to_owned(), place);
            let related: String =
                problem.related.iter().map(|(span, label)| format!(" ({} {label})", place(span))).collect();
            format!("{} {at} {}{related}", problem.code, problem.message)
        })
        .collect()
}

#[test]
fn a_file_becomes_a_tree() {
    let table = [
        ("a: 1\nb:\n  - x\n  - 'y'\nc: {d: \"e\"}\n", r#"{a: 1, b: [x, "y"], c: {d: "e"}}"#),
        ("a:\nb: ~\nc: null\n", "{a: , b: ~, c: null}"),
        ("a: !!str 5\nb: !reset 1\n", "{a: !!str 5, b: !reset 1}"),
        ("a: !reset []\nb: !override\n  c: 1\n", "{a: !reset [], b: !override {c: 1}}"),
        ("a: |\n  x\n  y\n", r#"{a: "x\ny\n"}"#),
        ("text\n", "text"),
        ("\u{feff}a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"),
        ("---\na: 1\n...\n", "{a: 1}"),
        ("a: 1\n---\nb: [\n", "{a: 1}"),
    ];
    for (text, tree) in table {
        assert_eq!(short(&node(text)), tree, "{text:?}");
    }
}

#[test]
fn a_file_without_a_value_is_none() {
    for text in ["", "\n", "# only a comment\n", "\u{feff}", "\r\n"] {
        assert_eq!(parse(&source(text)), Ok(None), "{text:?}");
    }
}

#[test]
fn a_place_counts_bytes_after_text_of_several_bytes() {
    let text = "# ä日本語\nü: \"ß\"\nlist:\n  - é\n  - {k: [ö, x]}\nend: z # c\n";
    let root = node(text);
    let cut = |node: &Node| &text[node.span.clone()];
    assert_eq!(cut(&root), "ü: \"ß\"\nlist:\n  - é\n  - {k: [ö, x]}\nend: z");
    assert_eq!(cut(root.get("ü").unwrap()), "\"ß\"");
    assert_eq!(cut(&root.get("list").unwrap().as_list().unwrap()[0]), "é");
    assert_eq!(cut(root.get("list").unwrap().as_list().unwrap()[1].get("k").unwrap()), "[ö, x]");
    assert_eq!(cut(&root.entry("end").unwrap().0), "end");
    assert_eq!(problems("ä: 'ö'\nb: @x\n"), ["LS101 2:4 a value without quotes cannot begin with `@`"]);
}

#[test]
fn an_alias_stands_where_it_is_used() {
    let text = "a: &x [1, 2]\nb: *x\n";
    let root = node(text);
    assert_eq!(short(&root), "{a: [1, 2], b: [1, 2]}");
    assert_eq!(&text[root.get("b").unwrap().span.clone()], "*x");
}

#[test]
fn merge_keys_bring_in_what_is_not_written() {
    let table = [
        ("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n", "{x: 1, y: 3}"),
        ("base: &b {x: 1, y: 2}\nuse:\n  y: 3\n  <<: *b\n", "{y: 3, x: 1}"),
        ("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nuse: {<<: [*a, *b]}\n", "{x: 1, y: 2}"),
        ("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nuse: {<<: *b, z: 3}\n", "{x: 1, y: 2, z: 3}"),
        ("use: {'<<': 1}\n", "{\"<<\": 1}"),
        ("use: {<<: ~, a: 1}\n", "{a: 1}"),
    ];
    for (text, tree) in table {
        assert_eq!(short(node(text).get("use").unwrap()), tree, "{text:?}");
    }
    assert_eq!(problems("a: {<<: 5}\n"), ["LS101 1:9 `<<` brings in the keys of a mapping, found a number"]);
    assert_eq!(
        problems("a: &a {}\nb: &b {}\nc:\n  <<: *a\n  <<: *b\n"),
        ["LS102 5:3 the key `<<` stands twice in this mapping (4:3 first here)"]
    );
}

#[test]
fn every_duplicate_key_is_reported_with_both_places() {
    assert_eq!(
        problems("a: 1\nb: {c: 1, c: 2}\n'a': 3\na: 4\n"),
        [
            "LS102 2:11 the key `c` stands twice in this mapping (2:5 first here)",
            "LS102 3:1 the key `a` stands twice in this mapping (1:1 first here)",
            "LS102 4:1 the key `a` stands twice in this mapping (1:1 first here)",
        ]
    );
}

#[test]
fn what_is_not_yaml_is_explained_where_it_can_be() {
    let table = [
        ("a:\n\t- b\n", "LS101 2:1 the line is indented with a tab, and YAML indents with spaces only"),
        ("a:\n  b: 1\n\tc: 2\n", "LS101 3:1 the line is indented with a tab, and YAML indents with spaces only"),
        (
            "a:\n  - b: 1\n     c: 2\n",
            "LS101 3:6 `c` is indented by 5 spaces, deeper than `b`, which has a value already (2:5 stands at 4 spaces)",
        ),
        (
            "h:\n    A:\n    - x: 1\n  B:\n    - y: 2\n",
            "LS101 4:3 `B` is indented by 2 spaces, but `A` below `h` by 4 (2:5 stands at 4 spaces)",
        ),
        ("a: b: c\n", "LS101 1:2 the value of `a` has a `: ` in it, which begins another value"),
        ("a: 'x\nb: 2\n", "LS101 2:1 a quote that opens above is not closed before here"),
        ("a: *x\n", "LS101 1:4 no anchor of this name stands before this alias"),
        ("a: **\n", "LS101 1:4 no anchor of this name stands before this alias"),
        ("a: &x [*x]\n", "LS101 1:8 this alias stands inside the value that it repeats"),
        ("a: [1, 2\nb: 3\n", "LS101 2:2 a `[` or `{` that opens above is not closed before here"),
        ("a: 1\0b: 2\n", "LS101 1:5 the control character U+0000 stands here"),
        ("a: \u{1b}[31m\n", "LS101 1:4 the control character U+001B stands here"),
    ];
    for (text, problem) in table {
        assert_eq!(problems(text), [problem], "{text:?}");
    }
}

#[test]
fn a_second_document_is_seen_and_not_read() {
    let reading = read(&source("a: 1\n--- # more\na: 2\na: 3\n"));
    assert_eq!(reading.second_document, Some(5..8));
    assert!(reading.problems.is_empty());
    assert_eq!(read(&source("a: 1\n")).second_document, None);
}

#[test]
fn deep_nesting_is_refused_with_a_place() {
    let flow = problems(&"[".repeat(20_000));
    assert_eq!(flow, ["LS103 1:129 collections nest deeper than 128 levels"]);
    let block: String = (0..20_000).map(|depth| format!("{}a:\n", " ".repeat(depth.min(400)))).collect();
    assert_eq!(problems(&block), ["LS103 129:129 collections nest deeper than 128 levels"]);
    // Each alias adds a level, so the expanded tree would be 20,000 deep.
    let mut chain = "a0: &a0 x\n".to_owned();
    for depth in 1..20_000 {
        chain.push_str(&format!("a{depth}: &a{depth} [*a{}]\n", depth - 1));
    }
    assert_eq!(problems(&chain), ["LS103 129:14 collections nest deeper than 128 levels"]);
}

#[test]
fn an_alias_bomb_is_refused_with_a_place() {
    let mut nodes = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        nodes.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(problems(&nodes), ["LS103 6:10 the aliases up to here make the file too large to read"]);
    let bytes = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    assert_eq!(problems(&bytes), ["LS103 2:33 the aliases up to here make the file too large to read"]);
}

#[test]
fn accessors_answer_for_every_kind() {
    let root = node("m: {a: 1}\nl: [x]\ns: text\nb: yes\nn: 0x1F\nz:\nq: 'yes'\nt: !!str 5\n");
    let kinds: Vec<&str> = root.entries().iter().map(|(_, value)| value.kind()).collect();
    assert_eq!(kinds, ["a mapping", "a list", "a text", "a boolean", "a number", "nothing", "a text", "a text"]);
    assert_eq!(root.get("n").and_then(Node::psych), Some(Psych::Int(31)));
    assert_eq!(root.get("t").and_then(Node::psych), Some(Psych::Text));
    assert_eq!(root.get("m").and_then(Node::psych), None);
    assert_eq!(root.get("s").and_then(|node| node.get("x")), None);
    assert!(root.get("z").unwrap().is_null() && root.get("l").unwrap().entries().is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let file = source(&text);
        check_spans(&read(&file), &text);
    }

    #[test]
    fn no_text_of_yaml_signs_makes_the_reader_panic(text in "[a-c0 \\n\\t\\r:\\-\\[\\]{},&*!|>'\"#%@?<~.é\u{feff}]{0,60}") {
        let file = source(&text);
        check_spans(&read(&file), &text);
    }

    #[test]
    fn no_scalar_makes_the_meaning_panic(text in "[-+0-9.,:_eExXbo]{0,12}") {
        let _ = read_plain(&text);
    }
}

fn check_spans(reading: &Reading, text: &str) {
    fn walk(node: &Node, text: &str) {
        assert!(text.get(node.span.clone()).is_some(), "{:?} in {text:?}", node.span);
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| walk(item, text)),
            Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                walk(key, text);
                walk(value, text);
            }),
        }
    }
    if let Some(node) = &reading.node {
        walk(node, text);
    }
    for problem in &reading.problems {
        assert!(text.get(problem.span.clone().unwrap()).is_some(), "{problem:?} in {text:?}");
    }
}
