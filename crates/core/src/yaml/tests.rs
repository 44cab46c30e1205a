use super::*;
#[test]
fn probe() {
    let source = |t: &str| SourceFile::new("a.yml", t);
    for t in [
        "a: ü\nb: \u{feff}x\n",
        "\u{feff}ää: 1\r\nb:\r\n  - x\r\n  - {y: 1, z: [q]}\r\nc:\r\nd: &a [1,2]\r\ne: *a\r\n# end\r\n",
        "a:\n  - b: 1\n     c: 2\n",
        "a:\n\t- b\n",
        "a:\n  b: 1\n\tc: 2\n",
        "hooks:\n    A:\n    - x: 1\n  B:\n    - y: 2\n",
        "a: b: c\n",
        "a: 'x\nb: 2\n",
        "a: *x\n",
        "a: @x\n",
        "a: [1, 2\nb: 3\n",
        "a: !!str 5\nb: !reset 1\nc: !ruby/object:X 2\nd: ! 5\n",
        "a: |\n  x\n  y\nb: >\n  z\n",
        "a: 1\n---\nb: 2\n",
        "a\n b\n",
        "a: 1\na: 2\n\"a\": 3\n",
    ] {
        let s = source(t);
        let r = read(&s);
        println!("=== {t:?}");
        fn show(n: &Node, t: &str, d: usize) {
            println!("{}{:?} {:?}", " ".repeat(d), n.span, t.get(n.span.clone()));
            match &n.value {
                Value::Scalar(s) => println!("{}{s:?}", " ".repeat(d)),
                Value::List(l) => l.iter().for_each(|n| show(n, t, d + 2)),
                Value::Map(m) => m.iter().for_each(|(k, v)| {
                    show(k, t, d + 2);
                    show(v, t, d + 4)
                }),
            }
        }
        if let Some(n) = &r.node {
            show(n, t, 0)
        }
        for p in &r.problems {
            println!(
                "{:?} {:?} {} fix {:?} rel {:?}",
                p.code,
                p.span.as_ref().map(|x| (s.line_column(x.start), s.line_column(x.end))),
                p.message,
                p.fix,
                p.related
            )
        }
        println!("second {:?}", r.second_document);
    }
}
