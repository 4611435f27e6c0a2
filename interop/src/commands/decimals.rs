//! Decimal numbers of the command line: one for both directions, or two separated by a comma.

use sim::units;

/// Percent as parts per million.
pub(super) fn percents(text: &str) -> Result<[u32; 2], String> {
    let ppm = both(text, 4)?;
    if ppm.iter().all(|ppm| *ppm <= 1_000_000) { Ok(ppm) } else { Err("more than 100 percent".to_owned()) }
}

/// Milliseconds as microseconds.
pub(super) fn millis(text: &str) -> Result<[u32; 2], String> {
    both(text, 3)
}

fn both(text: &str, decimals: u32) -> Result<[u32; 2], String> {
    let (there, back) = text.split_once(',').unwrap_or((text, text));
    Ok([scaled(there, decimals)?, scaled(back, decimals)?])
}

fn scaled(text: &str, decimals: u32) -> Result<u32, String> {
    let plain = units::plain(text.trim()).map_err(|reason| format!("{text:?}: {reason}"))?;
    u32::try_from(units::scaled(&plain, decimals)?).map_err(|_| format!("{text} is out of range"))
}
