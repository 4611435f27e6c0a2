//! Decimal numbers of the command line: one for both directions, or two with a comma between them.

/// Percent as parts per million.
pub(super) fn percents(text: &str) -> Result<[u32; 2], String> {
    let ppm = both(text, 10_000)?;
    if ppm.iter().all(|ppm| *ppm <= 1_000_000) { Ok(ppm) } else { Err("more than 100 percent".to_owned()) }
}

/// Milliseconds as microseconds.
pub(super) fn millis(text: &str) -> Result<[u32; 2], String> {
    both(text, 1000)
}

fn both(text: &str, scale: u32) -> Result<[u32; 2], String> {
    let (there, back) = text.split_once(',').unwrap_or((text, text));
    Ok([scaled(there, scale)?, scaled(back, scale)?])
}

fn scaled(text: &str, scale: u32) -> Result<u32, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("{text:?} is not a number"))?;
    let scaled = (value * f64::from(scale)).round();
    if (0.0..=f64::from(u32::MAX)).contains(&scaled) {
        Ok(scaled as u32)
    } else {
        Err(format!("{text} is out of range"))
    }
}
