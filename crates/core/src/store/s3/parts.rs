//! Which part of a file is sent next, while the file may still be growing. Pure.

use std::ops::Range;

use crate::growing::Stage;

/// The most parts that S3 takes.
pub(super) const PARTS_LIMIT: u64 = 10_000;

/// The parts of one file.
#[derive(Debug)]
pub(super) struct Parts {
    /// Bytes of every part but the last.
    size: u64,
    /// Where the parts begin that were not looked at.
    next: u64,
    /// Parts that wait for the hole in them to be filled.
    held: Vec<Range<u64>>,
}

impl Parts {
    /// Parts of the wanted size, or of more whole MiB so that `most` bytes do not make too many.
    pub(super) fn new(wanted: u64, most: u64) -> Parts {
        let size = most.div_ceil(PARTS_LIMIT).next_multiple_of(1 << 20).max(wanted);
        Parts { size, next: 0, held: Vec::new() }
    }

    /// A part that is final and was not given out; `None`: there is none at this stage.
    pub(super) fn take(&mut self, stage: &Stage) -> Option<Range<u64>> {
        if let Some(at) = self.held.iter().position(|part| stage.written.has(part)) {
            return Some(self.held.remove(at));
        }
        loop {
            let full = self.next + self.size;
            let end = stage.whole.map_or(full, |whole| full.min(whole.size));
            if self.next == end || stage.written.end < end {
                return None;
            }
            let part = self.next..end;
            self.next = end;
            if stage.written.has(&part) {
                return Some(part);
            }
            self.held.push(part);
        }
    }

    /// The number of a part, from 1 on.
    pub(super) fn number(&self, part: &Range<u64>) -> i32 {
        i32::try_from(part.start / self.size + 1).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;
    use crate::growing::{Whole, Written};

    fn stage(end: u64, hole: Option<Range<u64>>, size: Option<u64>) -> Stage {
        let digest = Sha256::of(b"");
        let whole = size.map(|size| Whole { size, sha256: digest, content_digest: digest });
        Stage { written: Written { end, hole }, whole }
    }

    #[test]
    fn parts_grow_so_that_there_are_never_more_than_ten_thousand() {
        const MIB: u64 = 1 << 20;
        for (wanted, most, expected) in [
            (8 * MIB, 17 * MIB, 8 * MIB),
            (8 * MIB, 80_000 * MIB, 8 * MIB),
            (8 * MIB, 80_000 * MIB + 1, 9 * MIB),
            (64 * MIB, 80_000 * MIB + 1, 64 * MIB),
            (8 * MIB, 5 << 40, 525 * MIB),
        ] {
            let parts = Parts::new(wanted, most);
            assert_eq!(parts.size, expected, "{wanted} {most}");
            assert!(most.div_ceil(parts.size) <= PARTS_LIMIT, "{wanted} {most}");
        }
    }

    #[test]
    fn a_part_is_given_out_once_when_all_of_it_is_final() {
        let mut parts = Parts { size: 10, next: 0, held: Vec::new() };
        for (stage, expected) in [
            (stage(0, None, None), None),
            (stage(9, None, None), None),
            (stage(25, None, None), Some(0..10)),
            (stage(25, None, None), Some(10..20)),
            (stage(25, None, None), None),
            // A header at 28..32 is not known: both parts that it touches wait, later ones do not.
            (stage(55, Some(28..32), None), Some(40..50)),
            (stage(55, Some(28..32), None), None),
            (stage(55, None, None), Some(20..30)),
            (stage(57, Some(56..57), None), Some(30..40)),
            (stage(57, None, Some(57)), Some(50..57)),
            (stage(57, None, Some(57)), None),
        ] {
            assert_eq!(parts.take(&stage), expected, "{stage:?}");
        }
        assert_eq!((parts.number(&(0..10)), parts.number(&(50..57))), (1, 6));
    }

    #[test]
    fn a_file_that_ends_with_a_part_has_no_empty_one() {
        let mut parts = Parts { size: 10, next: 0, held: Vec::new() };
        let whole = stage(20, None, Some(20));
        assert_eq!([parts.take(&whole), parts.take(&whole), parts.take(&whole)], [Some(0..10), Some(10..20), None]);
    }
}
