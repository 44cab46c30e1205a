//! What must hold for any bytes, one function for each fuzz target. Each panics when it does not hold.
//!
//! `fuzz/fuzz_targets` calls these with what libFuzzer makes up, `tests/seeds.rs` with the seeds and with every finding.

mod appspec;
mod archive;
mod envelope;
mod journal;
mod manifest;
mod names;
mod records;
mod scratch;
mod specification;
mod tar;
mod zip;

pub use appspec::appspec;
pub use envelope::envelope;
pub use journal::journal;
pub use manifest::manifest;
pub use names::names;
pub use records::records;
pub use specification::specification;
pub use tar::tar;
pub use zip::zip;

/// A property of any bytes. Says whether they were accepted, which is no property but shows what a seed reaches.
pub type Property = fn(&[u8]) -> bool;

/// Every property by the name of its target and of its folder of seeds.
pub const ALL: [(&str, Property); 9] = [
    ("appspec", appspec),
    ("envelope", envelope),
    ("journal", journal),
    ("manifest", manifest),
    ("names", names),
    ("records", records),
    ("specification", specification),
    ("tar", tar),
    ("zip", zip),
];
