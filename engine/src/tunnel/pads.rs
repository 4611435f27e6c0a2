//! Permutation pads of the streams (QPP-1), one state per stream and direction.

use crate::event::StreamId;
use crate::qpp::{self, Generator};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Pads {
    /// The permutations that all streams share; `None` when streams are carried as they are.
    shared: Option<qpp::Pads>,
    streams: BTreeMap<StreamId, StreamPads>,
    buffer: Vec<u8>,
}

struct StreamPads {
    outward: Generator,
    inward: Generator,
    /// Bytes at the head of the receive queue that are already decrypted.
    opened: usize,
}

impl Pads {
    pub(super) fn new(shared: Option<qpp::Pads>) -> Self {
        Self { shared, ..Self::default() }
    }

    pub(super) fn add(&mut self, id: StreamId) {
        if let Some(shared) = &self.shared {
            let pads = StreamPads { outward: shared.generator(), inward: shared.generator(), opened: 0 };
            self.streams.insert(id, pads);
        }
    }

    pub(super) fn remove(&mut self, id: StreamId) {
        self.streams.remove(&id);
    }

    pub(super) fn has(&self, id: StreamId) -> bool {
        self.streams.contains_key(&id)
    }

    /// The next bytes of the stream, encrypted; they must be sent.
    pub(super) fn encrypt(&mut self, id: StreamId, bytes: &[u8]) -> &[u8] {
        self.buffer.clear();
        self.buffer.extend_from_slice(bytes);
        if let (Some(shared), Some(pads)) = (&self.shared, self.streams.get_mut(&id)) {
            pads.outward.encrypt(shared, &mut self.buffer);
        }
        &self.buffer
    }

    /// Decrypts the unread bytes of a stream in place, each byte once.
    pub(super) fn decrypt(&mut self, id: StreamId, unread: &mut [u8]) {
        if let (Some(shared), Some(pads)) = (&self.shared, self.streams.get_mut(&id)) {
            let opened = pads.opened.min(unread.len());
            pads.inward.decrypt(shared, &mut unread[opened..]);
            pads.opened = pads.opened.max(unread.len());
        }
    }

    /// The first `n` unread bytes were read.
    pub(super) fn consumed(&mut self, id: StreamId, n: usize) {
        if let Some(pads) = self.streams.get_mut(&id) {
            pads.opened = pads.opened.saturating_sub(n);
        }
    }
}
