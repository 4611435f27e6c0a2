//! What the peer sent first (KCP-31). A segment is never sent again with other content, but who lost a conversation and begins
//! it again uses the same numbers for something else. Where both ends had confirmed nothing more than fits the new beginning, no
//! number shows it, and the bytes of both would be taken for one stream.

/// Segments that are remembered: a process that begins again begins with these.
const SEGMENTS: usize = 64;

/// Fingerprints of the first segments, by their place.
#[derive(Debug, Default)]
pub(super) struct Beginning(Vec<Option<(usize, u32)>>);

impl Beginning {
    /// Whether the segment at `place` came before with other content; remembers it if it did not come.
    pub(super) fn contradicts(&mut self, place: u32, payload: &[u8]) -> bool {
        let place = place as usize;
        if place >= SEGMENTS {
            return false;
        }
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        let found = (payload.len(), crc32fast::hash(payload));
        *self.0[place].get_or_insert(found) != found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segments_keep_their_content() {
        // KCP-31
        let mut beginning = Beginning::default();
        assert!(!beginning.contradicts(3, b"abc") && !beginning.contradicts(0, b"abc"));
        assert!(!beginning.contradicts(3, b"abc"));
        assert!(beginning.contradicts(3, b"abd") && beginning.contradicts(0, b"ab"));
        assert!(!beginning.contradicts(64, b"abc") && !beginning.contradicts(64, b""));
    }
}
