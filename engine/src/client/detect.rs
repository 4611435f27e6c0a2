//! Which smux version and compression the server has (SMUX-41).
//!
//! Nothing on the wire negotiates them, and generations of kcptun differ in their defaults. The client puts a session on trial
//! ([`crate::Tunnel::begin_trial`]) with its own settings first, then with the others, and goes on with what the server accepts,
//! unless the user gave a value that differs. While the answer is not known, new streams wait.

use crate::Mismatch;
use crate::time::Instant;
use crate::tunnel::TunnelConfig;
use core::time::Duration;
use std::sync::Arc;

/// How long new streams are refused when the server has another value than the user gave, before the server is tried again.
pub(super) const CONFLICT: Duration = Duration::from_secs(5);

/// Pause after the server rejected everything: it may be restarting.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Settings that both ends must have equal, and that a client can find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFormat {
    /// 1 or 2 (`smuxver`).
    pub smux_version: u8,
    /// Whether the stream of the session is compressed (not `nocomp`).
    pub compress: bool,
}

/// Which of them the user gave, so that another value of the server is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// `smuxver`.
    pub smux_version: bool,
    /// `nocomp`.
    pub compress: bool,
}

/// Result of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The server has this format, and new sessions use it.
    Accepted(StreamFormat),
    /// The server has this format, which contradicts a value that the user gave. New streams are refused for some seconds.
    Conflict(StreamFormat),
    /// The server has other permutation pads (QPP-11). New streams are refused for some seconds.
    Pads,
    /// The server ends the session with every format.
    Rejected,
}

/// What is known about the server.
#[derive(Debug)]
pub(super) struct Detection {
    own: StreamFormat,
    given: Given,
    candidates: [StreamFormat; 4],
    /// The candidate in use, or on trial.
    current: usize,
    /// Candidates that were rejected since the last one that was accepted.
    rejected: usize,
    known: bool,
}

impl Detection {
    pub(super) const fn new(own: StreamFormat, given: Given) -> Self {
        let StreamFormat { smux_version, compress } = own;
        let other = if smux_version == 1 { 2 } else { 1 };
        let candidates = [
            own,
            StreamFormat { smux_version: other, compress },
            StreamFormat { smux_version, compress: !compress },
            StreamFormat { smux_version: other, compress: !compress },
        ];
        Self { own, given, candidates, current: 0, rejected: 0, known: false }
    }

    /// Whether new sessions may carry streams at once.
    pub(super) const fn is_known(&self) -> bool {
        self.known
    }

    /// A session failed in a way that a change of the server explains, too.
    pub(super) const fn doubt(&mut self) {
        (self.known, self.rejected) = (false, 0);
    }

    pub(super) const fn current(&self) -> StreamFormat {
        self.candidates[self.current]
    }

    /// The server accepts the current candidate.
    pub(super) fn accepted(&mut self) -> Verdict {
        let found = self.current();
        self.rejected = 0;
        let conflicts = (self.given.smux_version && found.smux_version != self.own.smux_version)
            || (self.given.compress && found.compress != self.own.compress);
        if conflicts {
            self.current = 0;
            return Verdict::Conflict(found);
        }
        self.known = true;
        Verdict::Accepted(found)
    }

    /// The server rejects the current candidate; `hint` is what its bytes show. Returns the verdict once it rejected all.
    pub(super) fn rejected(&mut self, hint: Option<Mismatch>) -> Option<Verdict> {
        let now = self.current();
        let hinted = hint.map(|hint| match hint {
            Mismatch::PeerCompresses => StreamFormat { compress: true, ..now },
            Mismatch::PeerDoesNotCompress => StreamFormat { compress: false, ..now },
            Mismatch::PeerSmuxVersion(smux_version) => StreamFormat { smux_version, ..now },
            _ => now,
        });
        self.rejected += 1;
        self.current = hinted
            .and_then(|hinted| self.candidates.iter().position(|candidate| *candidate == hinted))
            .unwrap_or((self.current + 1) % self.candidates.len());
        if self.rejected < self.candidates.len() {
            return None;
        }
        (self.rejected, self.current) = (0, 0);
        Some(Verdict::Rejected)
    }
}

impl TunnelConfig {
    /// What must be equal at the peer.
    pub fn stream_format(&self) -> StreamFormat {
        StreamFormat { smux_version: self.mux.version, compress: self.compress }
    }

    pub(super) fn with_stream_format(self: &Arc<Self>, format: StreamFormat) -> Arc<Self> {
        if self.stream_format() == format {
            return Arc::clone(self);
        }
        let mut config = Self::clone(self);
        (config.mux.version, config.compress) = (format.smux_version, format.compress);
        Arc::new(config)
    }
}

/// A session on trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnTrial {
    pub(super) id: crate::SessionId,
    /// When it is given up without an answer.
    pub(super) until: Instant,
}
