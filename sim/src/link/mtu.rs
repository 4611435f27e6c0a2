use crate::plan::Timeline;
use engine::Instant;

/// Drops what is larger than the path carries; there is no fragmentation.
#[derive(Clone, Debug)]
pub struct Mtu {
    bytes_max: Timeline<u32>,
}

impl Mtu {
    /// `None` carries any size.
    pub fn new(bytes_max: Option<Timeline<u32>>) -> Self {
        Self { bytes_max: bytes_max.unwrap_or_else(|| u32::MAX.into()) }
    }

    /// Whether an IP packet of that size passes.
    pub fn fits(&self, now: Instant, packet_bytes: u32) -> bool {
        packet_bytes <= self.bytes_max.at(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_fits() {
        let fits = |bytes_max, bytes| Mtu::new(bytes_max).fits(Instant::ZERO, bytes);
        assert!(fits(Some(1500.into()), 1500));
        assert!(!fits(Some(1500.into()), 1501));
        assert!(fits(None, 65_535));
    }
}
