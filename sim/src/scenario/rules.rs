//! Rules that many keys share.

use super::Refusal;
use crate::plan::Timeline;

pub(super) const MINUTE_US: u64 = 60 * 1_000_000;
pub(super) const DAY_US: u64 = 24 * 60 * MINUTE_US;

/// The longest run; a packet's tag has room for half a year of microseconds.
pub(super) const MONTH_US: u64 = 30 * DAY_US;

pub(super) fn filled(path: &str, text: &str) -> Result<(), Refusal> {
    refuse_if(text.trim().is_empty(), path.into(), "must not be empty")
}

pub(super) fn within(path: &str, value: u64, min: u64, max: u64, rule: &str) -> Result<(), Refusal> {
    refuse_if(!(min..=max).contains(&value), path.into(), &format!("must be {rule}"))
}

/// [`within`] for every value of a schedule, if there is one.
pub(super) fn each_within(
    path: &str,
    values: Option<&Timeline<u64>>,
    min: u64,
    max: u64,
    rule: &str,
) -> Result<(), Refusal> {
    values.into_iter().flat_map(Timeline::values).try_for_each(|value| within(path, value, min, max, rule))
}

pub(super) fn refuse_if(refused: bool, path: String, reason: &str) -> Result<(), Refusal> {
    if refused { Err((path, reason.into())) } else { Ok(()) }
}
