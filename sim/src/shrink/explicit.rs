//! Placeholder replaced below.
use super::Shrinker;
impl Shrinker<'_> {
    pub(super) fn make_explicit(&mut self) {}
}
