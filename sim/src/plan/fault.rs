use crate::term::in_json;
use crate::{Direction, Side};
use engine::{Instant, terms};
use std::time::Duration;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// When it begins, microseconds.
    pub at_us: u64,
    /// When it is healed, after that; 0 for what happens at once.
    pub for_us: u64,
    /// What happens.
    pub kind: FaultKind,
}

impl FaultPlan {
    /// When it begins.
    pub const fn begins_at(&self) -> Instant {
        Instant::from_micros(self.at_us)
    }

    /// When it is healed.
    pub fn heals_at(&self) -> Instant {
        self.begins_at() + Duration::from_micros(self.for_us)
    }

    /// Whether the client does not run at `now` because of it.
    pub fn restarts_client(&self, now: Instant) -> bool {
        matches!(self.kind, FaultKind::ClientRestart { .. }) && self.is_active(now)
    }

    /// Whether it has begun and is not healed at `now`.
    pub fn is_active(&self, now: Instant) -> bool {
        self.begins_at() <= now && now < self.heals_at()
    }
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The server dies with all its sessions, and comes back without them.
    ServerRestart,
    /// The client dies with all its tunnels, and comes back without them.
    ClientRestart {
        /// Its next tunnel has the public address of the last one.
        keep_address: bool,
    },
    /// The client's public port changes.
    NatRebinding,
    /// The client's public address changes.
    AddressChange,
    /// Nothing gets through.
    Blackout(Ways),
    /// A side's clock jumps ahead.
    ClockStep {
        /// Whose.
        side: Side,
        /// By how much, microseconds.
        by_us: u64,
    },
    /// A side resets all its streams, as a program that stops does.
    StreamReset {
        /// Which.
        side: Side,
    },
    /// Packets arrive twice.
    DuplicateStorm {
        /// How many of a million.
        ppm: u32,
        /// Where.
        ways: Ways,
    },
    /// Datagrams arrive with flipped bits.
    Corruption {
        /// How many of a million.
        ppm: u32,
        /// Where.
        ways: Ways,
    },
}

impl FaultKind {
    /// Its name in scenario files and results.
    pub const fn name(self) -> FaultName {
        match self {
            Self::ServerRestart => FaultName::ServerRestart,
            Self::ClientRestart { .. } => FaultName::ClientRestart,
            Self::NatRebinding => FaultName::NatRebinding,
            Self::AddressChange => FaultName::AddressChange,
            Self::Blackout(Ways::Both) => FaultName::Blackout,
            Self::Blackout(_) => FaultName::OneWay,
            Self::ClockStep { .. } => FaultName::ClockStep,
            Self::StreamReset { .. } => FaultName::StreamReset,
            Self::DuplicateStorm { .. } => FaultName::DuplicateStorm,
            Self::Corruption { .. } => FaultName::Corruption,
        }
    }
}

terms! {
    /// The kinds of faults, as scenario files and results name them.
    pub enum FaultName {
        ServerRestart "server_restart" "The server stops with all its sessions and restarts without them."
        ClientRestart "client_restart" "The client stops with all its tunnels and restarts without them."
        NatRebinding "nat_rebinding" "The client's public port changes."
        AddressChange "address_change" "The client's public address changes."
        Blackout "blackout" "No packet passes in either direction."
        OneWay "one_way" "No packet passes in one direction."
        ClockStep "clock_step" "The clock of one side jumps ahead."
        StreamReset "stream_reset" "One side resets all its streams."
        DuplicateStorm "duplicate_storm" "Packets are duplicated."
        Corruption "corruption" "Bits of datagrams are flipped."
    }
}

in_json!(FaultName);

/// One direction or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
    /// Both directions.
    Both,
}

impl Ways {
    /// Whether `direction` is meant.
    pub const fn has(self, direction: Direction) -> bool {
        matches!(
            (self, direction),
            (Self::Both, _) | (Self::Up, Direction::Up) | (Self::Down, Direction::Down)
        )
    }
}

/// When the last fault is healed; the start when there is none.
pub fn all_healed_at(faults: &[FaultPlan]) -> Instant {
    faults.iter().map(FaultPlan::heals_at).max().unwrap_or(Instant::ZERO)
}
