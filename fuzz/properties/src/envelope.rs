//! Signed envelopes: what a right signature is demanded of is what is inside, and nothing changed passes.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_agent::codedeploy::envelope::{Demand, open};

/// PEM, or the bytes that it would frame.
pub fn envelope(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with('-') => text.to_owned(),
        Ok(_) | Err(_) => BASE64_STANDARD.encode(bytes),
    };
    let open = |text: &str, demand| open(text, &demand, SystemTime::UNIX_EPOCH);
    let inside = open(&text, Demand::Unchecked);
    match open(&text, Demand::Content) {
        Ok(signed) => {
            assert!(!signed.is_empty());
            assert_eq!(inside.ok().as_ref(), Some(&signed));
            changed(bytes, &signed, &|text| open(text, Demand::Content).ok());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Whichever byte of the content is another one, the signature is not right any more.
fn changed(bytes: &[u8], signed: &[u8], open: &dyn Fn(&str) -> Option<Vec<u8>>) {
    // A content in parts stands nowhere as a whole.
    let Some(at) = bytes.windows(signed.len()).position(|part| part == signed) else { return };
    for index in [at, at + signed.len() / 2, at + signed.len() - 1] {
        let mut bytes = bytes.to_vec();
        bytes[index] ^= 1;
        // The same bytes may stand elsewhere, too, where nothing depends on them; another content never passes.
        let found = open(&BASE64_STANDARD.encode(&bytes));
        assert!(found.is_none_or(|found| found == signed), "byte {index} can be changed");
    }
}
