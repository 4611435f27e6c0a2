//! Payload buffers, kept for reuse.

/// Buffers kept at most.
const BUFFERS_MAX: usize = 1024;

/// Empty buffers with the capacity of a segment.
#[derive(Debug)]
pub(super) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    /// Fewest buffers held since [`BufferPool::trim`].
    unused: usize,
    /// Capacity of a new buffer, bytes.
    pub(super) buffer_bytes: usize,
}

impl BufferPool {
    pub(super) const fn new(buffer_bytes: usize) -> Self {
        Self { buffers: Vec::new(), unused: 0, buffer_bytes }
    }

    /// A buffer that holds `bytes`.
    #[inline]
    pub(super) fn buffer_with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let capacity = self.buffer_bytes.max(bytes.len());
        let mut buffer = self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(capacity));
        self.unused = self.unused.min(self.buffers.len());
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    #[inline]
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS_MAX && buffer.capacity() > 0 {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Frees all buffers.
    pub(super) fn release(&mut self) {
        (self.buffers, self.unused) = (Vec::new(), 0);
    }

    /// Frees the buffers that were not needed since the last call.
    pub(super) fn trim(&mut self) {
        self.buffers.truncate(self.buffers.len().saturating_sub(self.unused));
        self.unused = self.buffers.len();
        self.buffers.shrink_to_fit();
    }

    /// The pool stays bounded.
    pub(super) fn check_invariants(&self) {
        assert!(self.buffers.len() <= BUFFERS_MAX && self.unused <= self.buffers.len(), "pool of buffers");
    }
}
