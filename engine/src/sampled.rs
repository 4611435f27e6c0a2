//! When debug builds check invariants that take longer the more they cover.

/// Spreads a check of linear cost over as many calls, so that checking stays proportional to the calls.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    calls: usize,
}

impl Sampled {
    /// Whether this call is to check, given the number of items the check visits; always `false` without assertions.
    pub(crate) const fn is_due(&mut self, items: usize) -> bool {
        if !cfg!(debug_assertions) {
            return false;
        }
        self.calls += 1;
        self.calls.is_multiple_of(items + 1)
    }
}
