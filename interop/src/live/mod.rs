//! Live interoperability: client and server programs as they are, streams through them, every byte checked.

mod cell;
mod ports;
mod process;
mod programs;
mod table;
mod work;

pub use cell::{Cell, Outcome, Passed};
pub use programs::{Missing, Program, Programs, ROLES};
pub use table::Table;

use crate::relay::Impairment;
use std::time::Duration;

/// Flags that both programs get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Name in tables.
    pub name: &'static str,
    /// Flags, split as a shell would.
    pub flags: &'static [&'static str],
}

/// The settings of the matrix; what is not named is each program's default.
pub const SETTINGS: &[Setting] = &[
    Setting { name: "smuxver-1", flags: &["--smuxver", "1"] },
    Setting { name: "smuxver-2", flags: &["--smuxver", "2"] },
    Setting { name: "nocomp", flags: &["--smuxver", "1", "--nocomp"] },
    Setting { name: "no-fec", flags: &["--smuxver", "1", "--datashard", "0", "--parityshard", "0"] },
    Setting { name: "aes-128", flags: &["--smuxver", "1", "--crypt", "aes-128"] },
    Setting { name: "none", flags: &["--smuxver", "1", "--crypt", "none"] },
];

/// The path of the impaired cells: both directions lose one datagram in ten and hold some back.
pub const IMPAIRED: Impairment = Impairment {
    loss_ppm: 100_000,
    duplicate_ppm: 10_000,
    reorder_ppm: 100_000,
    reorder_us: 15_000,
    delay_us: 5_000,
};

/// Size and bounds of the work in each cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Streams open at the same time.
    pub streams: usize,
    /// Bytes of each stream in each direction.
    pub stream_bytes: usize,
    /// The cell fails when it takes longer.
    pub limit: Duration,
}

impl Default for Work {
    fn default() -> Self {
        Self { streams: 4, stream_bytes: 1 << 20, limit: Duration::from_secs(60) }
    }
}

/// Every client with every server, in every setting on a clean path, and once on an impaired one.
pub fn matrix(clients: &[Program], servers: &[Program], work: Work) -> Vec<Cell> {
    let mut cells = Vec::new();
    for client in clients {
        for server in servers {
            let cell = |setting, impaired| Cell {
                client: client.clone(),
                server: server.clone(),
                setting,
                impaired,
                work,
            };
            cells.extend(SETTINGS.iter().map(|setting| cell(*setting, None)));
            cells.push(cell(SETTINGS[0], Some(IMPAIRED)));
        }
    }
    cells
}
