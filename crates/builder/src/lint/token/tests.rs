use super::*;

fn codes(text: &str) -> Vec<&'static str> {
    lint(&"a.txt".parse().unwrap(), text.as_bytes()).iter().map(|problem| problem.code).collect()
}

/// Random letters, so that no token stands in this file.
const BODY: &str = "q7Rk2ZpV9sTx4LmW8bYc3NdHf6JgKa1EuQoP5iXy";

#[test]
fn tokens_are_known_by_their_pattern() {
    let body = |count: usize| BODY.repeat(6)[..count].to_owned();
    for (start, count) in [
        ("ghp_", 36),
        ("gho_", 36),
        ("ghs_", 36),
        ("github_pat_", 82),
        ("glpat-", 20),
        ("xoxb-", 50),
        ("sk_live_", 24),
        ("rk_live_", 99),
        ("npm_", 36),
        ("dckr_pat_", 27),
        ("pypi-AgEI", 80),
        ("SG.", 66),
        ("sk-ant-", 90),
        ("xoxs-", 50),
        ("hooks.slack.com/services/T", 44),
        ("whsec_", 32),
        ("sk-proj-", 120),
        ("hf_", 34),
        ("dop_v1_", 64),
        ("shpat_", 32),
        ("hvs.", 90),
        ("gldt-", 20),
        ("glrt-", 20),
        ("client-key-data: ", 240),
        ("client-key-data:  \"", 240),
        ("client-key-data\":\"", 240),
        ("sk-svcacct-", 120),
        ("sk-admin-", 120),
        ("hooks.slack.com/workflows/T", 60),
        ("hooks.slack.com/triggers/T", 60),
    ] {
        let token = format!("{start}{}", body(count));
        for text in [token.clone(), format!("TOKEN={token}\n"), format!("{{\"a\": \"{token}\"}}")] {
            assert_eq!(codes(&text), ["LS413"], "{text}");
        }
        assert_eq!(codes(&format!("x{token}")), Vec::<&str>::new(), "a part of a word: {token}");
        assert_eq!(codes(&format!("{start}{}", body(15))), Vec::<&str>::new(), "too short: {start}");
        assert_eq!(codes(&format!("{start}{}", "x".repeat(count))), Vec::<&str>::new(), "a placeholder: {start}");
    }
    assert_eq!(codes(&format!("AIza{}", body(35))), ["LS416"]);
    assert_eq!(codes("function whsec_generateSignatureForWebhookHandlers1A() {}"), Vec::<&str>::new());
}

#[test]
fn an_aws_key_id_is_no_secret_without_its_key() {
    let id = format!("AKIA{}", "Q7RK2ZPV9STX4LMW");
    let pair = |id: &str, key: &str| format!("aws_access_key_id = {id}\naws_secret_access_key = {key}\n");
    assert_eq!(codes(&id), Vec::<&str>::new());
    assert_eq!(codes(&pair(&id, BODY)), ["LS413"]);
    assert_eq!(codes(&pair(&id, &"0123456789".repeat(4))), Vec::<&str>::new(), "a digest");
    let (id, key) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    assert_eq!(codes(&pair(id, key)), Vec::<&str>::new(), "AWS's example");
}

#[test]
fn a_private_key_needs_a_key_after_its_first_line() {
    for kind in ["", "RSA ", "OPENSSH ", "EC ", "ENCRYPTED "] {
        let begin = format!("-----BEGIN {kind}PRIVATE KEY-----");
        assert_eq!(codes(&format!("{begin}\n{BODY}{BODY}\n")), ["LS414"], "{kind}");
        assert_eq!(codes(&format!("{{\"private_key\": \"{begin}\\n{BODY}{BODY}\\n\"}}")), ["LS414"], "{kind}");
        assert_eq!(codes(&format!("grep -q '{begin}' key.pem")), Vec::<&str>::new(), "{kind}");
    }
    assert_eq!(codes(&format!("-----BEGIN PUBLIC KEY-----\n{BODY}{BODY}\n")), Vec::<&str>::new());
}

#[test]
fn what_is_found_is_shown_at_its_place_and_not_in_full() {
    let text = format!("password: hunter2\nkey: é ghp_{BODY} # hunter3\n");
    let problems = lint(&"a.yml".parse().unwrap(), text.as_bytes());
    let shown = longshore_core::problem::render(&problems, longshore_core::problem::Look::Plain);
    assert!(shown.contains("--> a.yml:2:8\n"), "{shown}");
    assert!(shown.contains("2 |        ghp_****"), "{shown}");
    assert!(!shown.contains(&BODY[..2]) && !shown.contains("hunter"), "{shown}");
    assert!(!problems[0].source.text.contains(&BODY[..2]), "nor anywhere else");
}

#[test]
fn bytes_that_are_no_text_are_left_alone() {
    assert_eq!(codes(&format!("\0ghp_{BODY}")), Vec::<&str>::new());
}

#[test]
fn a_minisign_secret_key_is_found_and_its_public_key_is_none() {
    for begin in ["RWQAAEIy", "RWRTY0Iy"] {
        let key = format!("{begin}{}", BODY.repeat(6)[..204].to_owned());
        for text in [format!("untrusted comment: minisign secret key\n{key}\n"), format!("KEY={key}\n")] {
            assert_eq!(codes(&text), ["LS414"], "{text}");
        }
        assert_eq!(codes(&key[..56]), Vec::<&str>::new());
    }
}

#[test]
fn keys_with_headers_and_blocks_are_private_keys() {
    let (pem, pgp) = ("-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----");
    for text in [
        format!("{pem}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{BODY}{BODY}\n"),
        format!("{pem}\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-128-CBC,00\r\n\r\n{BODY}{BODY}\r\n"),
        format!("{pgp}\n\n{BODY}{BODY}\n"),
        format!("{pgp}\nVersion: 1\n\n{BODY}{BODY}\n"),
    ] {
        assert_eq!(codes(&text), ["LS414"], "{text}");
    }
    let public = format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{BODY}{BODY}\n");
    assert_eq!(codes(&public), Vec::<&str>::new());
}

#[test]
fn aws_secrets_are_found_alone_and_with_temporary_ids() {
    assert_eq!(codes(&format!("export AWS_SECRET_ACCESS_KEY=\"{BODY}\"\n")), ["LS413"]);
    assert_eq!(codes("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"), Vec::<&str>::new());
    assert_eq!(codes("AWS_SECRET_ACCESS_KEY=$KEY\n"), Vec::<&str>::new());
    let id = format!("ASIA{}", "Q7RK2ZPV9STX4LMW");
    assert_eq!(codes(&id), Vec::<&str>::new());
    assert_eq!(codes(&format!("{id}\nAWS_SECRET_ACCESS_KEY={BODY}\n")), ["LS413"]);
    let age = format!("AGE-SECRET-KEY-1{}", BODY.repeat(2)[..58].to_uppercase());
    assert_eq!(codes(&age), ["LS413"]);
}
