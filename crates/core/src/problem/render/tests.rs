use super::*;
#[test]
fn probe() {
    for (t, span, rel) in [
        ("a: 1\nb: 2\n", 5..6, vec![]),
        ("a: 1\r\nb: 2\r\n\r\nc: 3\r\n", 15..18, vec![(0..1, "first here")]),
        ("a: 1\n", 5..5, vec![]),
        ("", 0..0, vec![]),
        ("a:\t\tfoo\u{9b}31m\u{1b}[31m\u{202e}x日本語: y\n", 4..50, vec![]),
        ("x: 日本語 yes\n", 13..16, vec![]),
        (&format!("a: {} here {}\n", "x".repeat(300), "y".repeat(500)), 304..308, vec![]),
        (&format!("a: {}\n", "x".repeat(5000)), 4..8, vec![(0..1, "o")]),
        ("a: 1\nb:\n  c: 1\n  d: 2\n", 10..22, vec![]),
    ] {
        let s = SourceFile::new("dir/a\u{1b}.yml", t);
        let mut p = Problem::warning("LS999", &s, Some(span), "has no\u{1b} effect")
            .at_path("files[0].x")
            .with_fix("do this\nand that");
        for (s, l) in rel {
            p = p.with_related(s, l);
        }
        println!("{}", render(&[p.clone()], Look::Plain));
        println!("{}", p.to_json());
        println!("{:?}", render(&[p], Look::Coloured));
    }
}
