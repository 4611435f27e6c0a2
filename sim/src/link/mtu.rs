/// Drops what is larger than the path carries; there is no fragmentation.
#[derive(Clone, Copy, Debug)]
pub struct Mtu {
    bytes_max: u32,
}

impl Mtu {
    /// `None` carries any size.
    pub const fn new(bytes_max: Option<u32>) -> Self {
        Self { bytes_max: if let Some(bytes) = bytes_max { bytes } else { u32::MAX } }
    }

    /// Whether an IP packet of that size passes.
    pub const fn fits(self, packet_bytes: u32) -> bool {
        packet_bytes <= self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_fits() {
        assert!(Mtu::new(Some(1500)).fits(1500));
        assert!(!Mtu::new(Some(1500)).fits(1501));
        assert!(Mtu::new(None).fits(65_535));
    }
}
