//! The same work for many entries, on a few threads. Each takes runs of neighbours, which saves the kernel work on folders.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::OpenError;

/// More threads than this wait for the disk.
const MOST_THREADS: usize = 4;
const RUN: usize = 64;

/// What one thread did, or the number at which it failed.
type Done<T> = Result<Vec<(usize, T)>, (usize, OpenError)>;

/// Calls `work` for 0 to `count` and gives the results in that order, or the first failure that was met. Each thread makes
/// its own `scratch`.
pub(super) fn each<S, T: Send>(
    count: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<T, OpenError> + Sync,
) -> Result<Vec<T>, OpenError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    // Few but large entries must not all go to one thread.
    let run = RUN.min(count.div_ceil(threads * 4)).max(1);
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut own = scratch();
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(run, Ordering::Relaxed);
            if start >= count {
                return Ok(done);
            }
            for index in start..count.min(start + run) {
                match work(&mut own, index) {
                    Ok(result) => done.push((index, result)),
                    Err(error) => {
                        next.store(count, Ordering::Relaxed);
                        return Err((index, error));
                    }
                }
            }
        }
    };
    let results: Vec<Done<T>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count.div_ceil(run))).map(|_| scope.spawn(worker)).collect();
        let mut results = vec![worker()];
        for other in others {
            results.push(match other.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
        }
        results
    });
    let mut done = Vec::with_capacity(count);
    let mut first: Option<(usize, OpenError)> = None;
    for result in results {
        match result {
            Ok(part) => done.extend(part),
            Err(error) if first.as_ref().is_none_or(|first| error.0 < first.0) => first = Some(error),
            Err(_) => {}
        }
    }
    if let Some((_, error)) = first {
        return Err(error);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
