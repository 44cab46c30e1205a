use super::*;
#[test]
fn probe2() {
    for f in std::env::var("PROBE").unwrap_or_default().split(' ').filter(|f| !f.is_empty()) {
        let s = SourceFile::new(f, String::from_utf8_lossy(&std::fs::read(f).unwrap()));
        let p = parse(&s);
        println!("######## {f} {:?}\n{}", p.appspec.is_some(), problem::render(&p.problems, problem::Look::Plain));
    }
}
