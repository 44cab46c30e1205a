use std::time::Duration;

use super::*;
use crate::appspec::{AclTag, DEFAULT_TIMEOUT, Os, Source};
use crate::lifecycle::LifecycleEvent;
use crate::yaml::Scalar;

fn plain(text: &str) -> Scalar {
    Scalar { text: text.to_owned(), plain: true, tag: None }
}

fn quoted(text: &str) -> Scalar {
    Scalar { plain: false, ..plain(text) }
}

/// The value, and the codes of what was remarked.
fn outcome<T>(verdict: Verdict<T>) -> (Option<T>, Vec<&'static str>) {
    (verdict.value, verdict.remarks.iter().map(|remark| remark.code).collect())
}

#[test]
fn timeouts_mean_one_number_or_are_refused() {
    let second = |number: u64| Some(Duration::from_secs(number));
    let table = [
        (plain("300"), second(300), vec![]),
        (plain("1"), second(1), vec![]),
        (plain("3600"), second(3600), vec![]),
        (plain("3601"), second(3601), vec![LONG_TIMEOUT]),
        (plain("+300"), second(300), vec![]),
        (quoted("300"), second(300), vec![]),
        (quoted(" 300 "), second(300), vec![]),
        (quoted("010"), second(10), vec![]),
        (plain("08"), second(8), vec![ODD_TIMEOUT]),
        (plain("007"), second(7), vec![ODD_TIMEOUT]),
        (plain("1_000"), second(1000), vec![ODD_TIMEOUT]),
        (plain("1,000"), second(1000), vec![ODD_TIMEOUT]),
        (plain("0x1F"), second(31), vec![ODD_TIMEOUT]),
        (plain("300.0"), second(300), vec![ODD_TIMEOUT]),
        (plain("1.9"), second(1), vec![ODD_TIMEOUT]),
        (plain("300s"), second(300), vec![ODD_TIMEOUT]),
        (quoted("300 seconds"), second(300), vec![ODD_TIMEOUT]),
        (plain("~"), Some(DEFAULT_TIMEOUT), vec![]),
        (plain("false"), Some(DEFAULT_TIMEOUT), vec![ODD_TIMEOUT]),
        (plain("0"), None, vec![TIMEOUT]),
        (plain("-1"), None, vec![TIMEOUT]),
        (plain("0.5"), None, vec![TIMEOUT]),
        (plain("010"), None, vec![TIMEOUT]),
        (plain("0300"), None, vec![TIMEOUT]),
        (plain("1:30"), None, vec![TIMEOUT]),
        (plain("0:05:00"), None, vec![TIMEOUT]),
        (plain("5m"), None, vec![TIMEOUT]),
        (quoted("2 hours"), None, vec![TIMEOUT]),
        (plain("300ms"), None, vec![TIMEOUT]),
        (plain("30abc"), None, vec![TIMEOUT]),
        (plain("0s"), None, vec![TIMEOUT]),
        (plain("1e3"), None, vec![TIMEOUT]),
        (plain("true"), None, vec![TIMEOUT]),
        (plain(".inf"), None, vec![TIMEOUT]),
        (plain(".nan"), None, vec![TIMEOUT]),
        (quoted(""), None, vec![TIMEOUT]),
        (quoted("-5"), None, vec![TIMEOUT]),
        (plain("99999999999"), None, vec![TIMEOUT]),
        (plain("99999999999999999999999999999999999999999"), None, vec![TIMEOUT]),
    ];
    for (scalar, value, codes) in table {
        assert_eq!(outcome(timeout(&scalar)), (value, codes), "{scalar:?}");
    }
}

#[test]
fn a_refused_timeout_says_what_to_write() {
    for (text, fix) in [
        ("5m", "write 300"),
        ("2h", "write 7200"),
        ("1:30", "write 90 if minutes and seconds are meant"),
        ("1:30:00", "write 5400"),
        ("010", "write 10 if that is meant"),
    ] {
        assert_eq!(timeout(&plain(text)).remarks[0].fix.as_deref(), Some(fix), "{text}");
    }
}

#[test]
fn modes_are_the_digits_as_written() {
    let table = [
        (plain("755"), Some(0o755), vec![]),
        (quoted("0755"), Some(0o755), vec![]),
        (quoted("0644"), Some(0o644), vec![]),
        (plain("1777"), Some(0o1777), vec![]),
        (plain("4755"), Some(0o4755), vec![SPECIAL_MODE]),
        (quoted("2775"), Some(0o2775), vec![SPECIAL_MODE]),
        (plain("0644"), Some(0o644), vec![OCTAL_MODE]),
        (plain("0755"), Some(0o755), vec![OCTAL_MODE]),
        (plain("04755"), None, vec![MODE]),
        (plain("7"), Some(0o007), vec![SHORT_MODE]),
        (plain("0"), Some(0), vec![SHORT_MODE]),
        (plain("44"), Some(0o044), vec![SHORT_MODE]),
        (plain("888"), None, vec![MODE]),
        (plain("0o755"), None, vec![MODE]),
        (plain("u+x"), None, vec![MODE]),
        (plain("7.55"), None, vec![MODE]),
        (plain("-755"), None, vec![MODE]),
        (quoted(""), None, vec![MODE]),
        (quoted(" 755"), None, vec![MODE]),
        (quoted("17777"), None, vec![MODE]),
        (plain("٧٥٥"), None, vec![MODE]),
    ];
    for (scalar, value, codes) in table {
        assert_eq!(outcome(mode(&scalar)), (value, codes), "{scalar:?}");
    }
    assert_eq!(mode(&plain("04755")).remarks[0].fix.as_deref(), Some("write \"4755\""));
    for (text, aws) in
        [("0644", "sets the mode 420"), ("0777", "sets the mode 511"), ("0600", "reads 384 and refuses it")]
    {
        assert!(mode(&plain(text)).remarks[0].message.ends_with(aws), "{text}");
    }
}

#[test]
fn sudo_is_what_is_written_and_never_true_by_accident() {
    let table = [
        (plain("true"), Some(true), vec![]),
        (plain("yes"), Some(true), vec![]),
        (plain("off"), Some(false), vec![]),
        (plain("~"), Some(false), vec![]),
        (quoted("true"), Some(true), vec![]),
        (quoted("false"), Some(false), vec![TEXT_SUDO]),
        (quoted("No"), Some(false), vec![TEXT_SUDO]),
        (quoted(""), Some(false), vec![TEXT_SUDO]),
        (plain("n"), Some(false), vec![TEXT_SUDO]),
        (plain("y"), Some(true), vec![]),
        (plain("0"), None, vec![SUDO]),
        (plain("1"), None, vec![SUDO]),
        (plain("root"), None, vec![SUDO]),
    ];
    for (scalar, value, codes) in table {
        assert_eq!(outcome(sudo(&scalar)), (value, codes), "{scalar:?}");
    }
}

#[test]
fn users_are_names_or_numbers() {
    let user = |name: &str| Some(Some(name.to_owned()));
    let table = [
        (plain("ubuntu"), user("ubuntu"), vec![]),
        (quoted(" root  "), user("root"), vec![]),
        (plain("1000"), user("1000"), vec![]),
        (quoted("yes"), user("yes"), vec![]),
        (plain("~"), Some(None), vec![]),
        (quoted("  "), Some(None), vec![]),
        (plain("yes"), None, vec![RUN_AS]),
        (plain("False"), None, vec![RUN_AS]),
        (quoted("a\0b"), None, vec![RUN_AS]),
    ];
    for (scalar, value, codes) in table {
        assert_eq!(outcome(run_as(&scalar)), (value, codes), "{scalar:?}");
    }
    assert_eq!(outcome(owner(&plain("1000"))), (user("1000"), vec![NUMERIC_OWNER]));
    assert_eq!(outcome(owner(&plain("no"))), (None, vec![OWNER]));
    assert_eq!(outcome(owner(&quoted("a:b"))), (None, vec![OWNER]));
    assert_eq!(outcome(owner(&quoted(""))), (Some(None), vec![]));
}

#[test]
fn acls_are_read_from_the_right() {
    let table = [
        ("deploy:7", "user:deploy:rwx"),
        ("deploy:", "user:deploy:---"),
        ("u:deploy:rw", "user:deploy:rw-"),
        ("user:deploy:wr-", "user:deploy:rw-"),
        ("g:ops:5", "group:ops:r-x"),
        ("mask:rx", "mask::r-x"),
        ("m::4", "mask::r--"),
        ("d:deploy:7", "default:user:deploy:rwx"),
        ("d:mask:7", "default:mask::rwx"),
        ("d:o:-", "default:other::---"),
        ("default:user::rwx", "default:user::rwx"),
        ("d:g:ops:rx", "default:group:ops:r-x"),
        ("default:other::r-x", "default:other::r-x"),
        ("u:o:7", "user:other:rwx"),
        ("g:m:1", "group:mask:--x"),
        ("user:7", "user:user:rwx"),
    ];
    for (text, canonical) in table {
        let (acl, codes) = outcome(acl(text));
        assert_eq!((acl.map(|acl| acl.to_string()).as_deref(), codes), (Some(canonical), vec![]), "{text}");
    }
    for bad in [
        "",
        "a",
        "other:7",
        "user::7",
        "u::rwx",
        ":7",
        "o:x:7",
        "m:x:7",
        "d:d:a:7",
        "u:g:a:7",
        "x:a:7",
        "d:x:a:7",
        "a:8",
        "a:77",
        "a:rq",
        "d:u:a:b:7",
    ] {
        assert_eq!(outcome(acl(bad)), (None, vec![ACL]), "{bad}");
    }
    assert_eq!(acl("m::4").value.map(|acl| acl.tag), Some(AclTag::Mask));
}

#[test]
fn ranges_come_out_in_normal_form() {
    for (text, normal) in [
        ("s0", "s0"),
        ("s0-s0", "s0"),
        ("s0-s15", "s0-s15"),
        ("s0:c1", "s0:c1"),
        ("s0:c3,c1,c2", "s0:c1.c3"),
        ("s1-s2:c0.c5,c7,c9,c8", "s1-s2:c0.c5,c7.c9"),
        ("s0:c0.c1023", "s0:c0.c1023"),
    ] {
        assert_eq!(outcome(range(text)), (Some(normal.to_owned()), vec![]), "{text}");
    }
    for bad in [
        "",
        "0",
        "s",
        "s1-s0",
        "s0:",
        "s0:c1024",
        "s0:c5.c3",
        "s0:c1,c1",
        "s0:c0.c3,c2",
        "s0-",
        "s0:x1",
        "s-1",
        "s0:c1.",
    ] {
        assert_eq!(outcome(range(bad)), (None, vec![CONTEXT]), "{bad}");
    }
}

#[test]
fn events_run_are_ignored_or_are_misspelt() {
    for event in LifecycleEvent::ALL.into_iter().filter(LifecycleEvent::is_scriptable) {
        let name = event.name().to_owned();
        assert_eq!(outcome(super::event(&name)), (Some(EventRule::Runs(event)), vec![]));
    }
    for (name, code) in [
        ("Install", SCRIPTLESS_EVENT),
        ("DownloadBundle", SCRIPTLESS_EVENT),
        ("BlockTraffic", SCRIPTLESS_EVENT),
        ("End", SCRIPTLESS_EVENT),
        ("", IGNORED_EVENT),
        ("deploy", IGNORED_EVENT),
        ("My-Event", IGNORED_EVENT),
    ] {
        assert_eq!(outcome(event(name)), (Some(EventRule::Ignored), vec![code]), "{name}");
    }
    for (name, meant) in [
        ("afterinstall", "AfterInstall"),
        ("AfterInstal", "AfterInstall"),
        ("AfterInstalls", "AfterInstall"),
        ("After_Install", "AfterInstall"),
        ("application-start", "ApplicationStart"),
        ("AplicationStrat", "ApplicationStart"),
        ("ValidateServices", "ValidateService"),
    ] {
        let verdict = event(name);
        assert_eq!(verdict.remarks[0].fix.as_deref(), Some(format!("did you mean `{meant}`?").as_str()), "{name}");
        assert_eq!(outcome(verdict), (None, vec![MISSPELT_EVENT]), "{name}");
    }
    for name in ["WarmCaches", "AfterAllowTestTraffic", "Deploy"] {
        let custom = name.parse().unwrap();
        assert_eq!(outcome(event(name)), (Some(EventRule::Runs(custom)), vec![CUSTOM_EVENT]), "{name}");
    }
}

#[test]
fn paths_stay_inside_the_bundle() {
    for whole in ["/", ".", "./", "//", "/./"] {
        assert_eq!(outcome(source(whole, Os::Linux)), (Some(Source::Whole), vec![]), "{whole}");
    }
    for bad in ["..", "../x", "/a/../../b", "a/..", "a\0b", "a\0*"] {
        assert_eq!(outcome(source(bad, Os::Linux)), (None, vec![SOURCE]), "{bad:?}");
        assert_eq!(outcome(location(bad, Os::Linux)), (None, vec![LOCATION]), "{bad:?}");
    }
    assert_eq!(outcome(location("..\\x", Os::Windows)), (None, vec![LOCATION]));
    for (text, path, codes) in [
        ("/scripts/x.sh", "scripts/x.sh", vec![]),
        ("./x.sh", "x.sh", vec![]),
        ("my script.sh", "my script.sh", vec![LOCATION_ARGUMENTS]),
        ("$DIR/x.sh", "$DIR/x.sh", vec![LITERAL_VARIABLE]),
    ] {
        assert_eq!(outcome(location(text, Os::Linux)), (path.parse().ok(), codes), "{text}");
    }
}

#[test]
fn destinations_are_full_paths() {
    for (text, os, accepted, codes) in [
        ("/srv/a", Os::Linux, true, vec![]),
        ("/srv/$USD", Os::Linux, true, vec![LITERAL_VARIABLE]),
        ("${HOME}/a", Os::Linux, true, vec![LITERAL_VARIABLE]),
        ("/srv/5$", Os::Linux, true, vec![]),
        ("srv", Os::Linux, true, vec![RELATIVE_DESTINATION]),
        (".", Os::Linux, true, vec![RELATIVE_DESTINATION]),
        ("~", Os::Linux, false, vec![DESTINATION]),
        ("  ", Os::Linux, false, vec![DESTINATION]),
        ("/a\0b", Os::Linux, false, vec![DESTINATION]),
        ("C:\\app", Os::Windows, true, vec![]),
        ("\\\\host\\share", Os::Windows, true, vec![]),
        ("app", Os::Windows, true, vec![RELATIVE_DESTINATION]),
    ] {
        let expected = accepted.then(|| text.to_owned());
        assert_eq!(outcome(destination(text, os)), (expected, codes), "{text}");
    }
}

#[test]
fn patterns_with_hopes_that_fail_are_remarked() {
    for good in ["**", "*", "*.sh", "a*b", "name"] {
        assert_eq!(pattern(good).remarks, [], "{good}");
    }
    for idle in ["", "a/b", "**/*.sh", "a**", "?.sh", "[ab]", "{a,b}"] {
        assert_eq!(outcome(pattern(idle)).1, [IDLE_PERMISSION], "{idle}");
    }
}

#[test]
fn every_code_is_in_the_reference_and_the_reference_knows_no_other() {
    let codes = |text: &str, before: &str| -> Vec<String> {
        let codes = text.match_indices(before).map(|(at, _)| text[at + before.len()..].chars().take(5).collect());
        let mut codes: Vec<String> = codes.filter(|code: &String| code.starts_with("LS1")).collect();
        codes.sort();
        codes
    };
    let constants = [include_str!("../check.rs"), include_str!("../../yaml.rs")].concat();
    let reference = include_str!("../../../../../docs/reference/appspec.md");
    let ours = codes(&constants, "&str = \"");
    assert_eq!(ours, codes(reference, "\n| "));
    assert!(ours.windows(2).all(|pair| pair[0] != pair[1]), "a code is given out twice: {ours:?}");
}
