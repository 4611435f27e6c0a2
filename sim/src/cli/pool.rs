//! Concurrent runs. Each run stays on one thread and is independent of the others.

use super::progress::Progress;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(clap::Args)]
pub(crate) struct Jobs {
    /// Number of concurrent runs; the number of cores when absent.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

impl Jobs {
    /// Calls `job` for every item; returns the results in the order of the items, or the first error in that order.
    #[expect(
        clippy::disallowed_methods,
        reason = "runs are independent; their order does not affect results"
    )]
    pub(crate) fn run<I: Sync, O: Send>(
        &self,
        items: &[I],
        job: impl Fn(&I) -> anyhow::Result<O> + Sync,
    ) -> anyhow::Result<Vec<O>> {
        let jobs =
            self.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let progress = Progress::new(items.len());
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(items.len()));
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(items.len()) {
                scope.spawn(|| {
                    while let Some((index, item)) = nth(items, next.fetch_add(1, Ordering::Relaxed)) {
                        let answer = job(item);
                        progress.one_more();
                        if let Ok(mut done) = done.lock() {
                            done.push((index, answer));
                        }
                    }
                });
            }
        });
        progress.end();
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, answer)| answer).collect()
    }
}

fn nth<I>(items: &[I], index: usize) -> Option<(usize, &I)> {
    items.get(index).map(|item| (index, item))
}
