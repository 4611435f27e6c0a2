//! A first-in first-out queue of bytes that stays contiguous.

/// Memory kept for the next burst when the queue runs empty.
const IDLE_CAPACITY_MAX: usize = 16 * 1024;

/// Bytes in order. Memory is at most four times the bytes held plus [`IDLE_CAPACITY_MAX`].
#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    bytes: Vec<u8>,
    start: usize,
}

impl ByteQueue {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.make_room(data.len());
        self.bytes.extend_from_slice(data);
    }

    /// Appends `n` zeros and lends them to be overwritten.
    pub(crate) fn grow(&mut self, n: usize) -> &mut [u8] {
        self.make_room(n);
        let end = self.bytes.len();
        self.bytes.resize(end + n, 0);
        &mut self.bytes[end..]
    }

    /// Takes `n` bytes back from the end.
    pub(crate) fn shrink(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.bytes.truncate(self.bytes.len() - n.min(self.len()));
    }

    /// Drops the first `n` bytes; all of them when there are fewer.
    pub(crate) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n.min(self.len());
        if self.start < self.bytes.len() {
            return;
        }
        self.start = 0;
        self.bytes.clear();
        if self.bytes.capacity() > IDLE_CAPACITY_MAX {
            self.bytes = Vec::new();
        }
    }

    /// Moves the bytes to the front instead of growing, once that costs no more than what was consumed.
    fn make_room(&mut self, n: usize) {
        if self.bytes.len() + n <= self.bytes.capacity() || self.start < self.len() {
            return;
        }
        self.bytes.copy_within(self.start.., 0);
        self.bytes.truncate(self.len());
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_memory_stays_near_the_bytes_held() {
        let mut queue = ByteQueue::default();
        let (mut next_in, mut next_out) = (0u8, 0u8);
        for round in 0..5000usize {
            for _ in 0..round % 97 {
                queue.push(&[next_in]);
                next_in = next_in.wrapping_add(1);
            }
            for _ in 0..(round * 7 % 97).min(queue.len()) {
                assert_eq!(queue.as_slice()[0], next_out);
                queue.consume(1);
                next_out = next_out.wrapping_add(1);
            }
            assert!(queue.bytes.capacity() <= 4 * (queue.len() + 97) + IDLE_CAPACITY_MAX);
        }
    }

    #[test]
    fn an_emptied_queue_lets_go_of_a_large_buffer() {
        let mut queue = ByteQueue::default();
        queue.grow(IDLE_CAPACITY_MAX * 2).fill(7);
        queue.shrink(1);
        queue.consume(IDLE_CAPACITY_MAX * 2 - 1);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes.capacity(), 0);
    }
}
