//! Live interoperability: unmodified client and server programs, with every byte of the streams checked.

mod cell;
mod table;
mod work;

pub use cell::{Cell, Lost, Outcome, Passed};
pub use table::Table;

use crate::Program;
use lab::mihomo;
use lab::peers::Peer;
use sim::plan::{LinkPlan, LossPlan, ReorderPlan};
use std::path::PathBuf;
use std::time::Duration;

/// Flags that both programs get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Name in tables.
    pub name: &'static str,
    /// Flags, split as a shell would.
    pub flags: &'static [&'static str],
}

/// The settings of the matrix; other options have each program's defaults.
pub const SETTINGS: &[Setting] = &[
    Setting { name: "smuxver-1", flags: &["--smuxver", "1"] },
    Setting { name: "smuxver-2", flags: &["--smuxver", "2"] },
    Setting { name: "nocomp", flags: &["--smuxver", "1", "--nocomp"] },
    Setting { name: "no-fec", flags: &["--smuxver", "1", "--datashard", "0", "--parityshard", "0"] },
    Setting { name: "aes-128", flags: &["--smuxver", "1", "--crypt", "aes-128"] },
    Setting { name: "none", flags: &["--smuxver", "1", "--crypt", "none"] },
];

/// A setting that karst's word for mihomo determines.
pub const MIHOMO: Setting = Setting { name: "compat", flags: &["--compat", "mihomo"] };

/// Settings beyond [`SETTINGS`]: every cipher Debian's kcptun has, modes, sizes, shapes.
pub const MORE_SETTINGS: &[Setting] = &[
    Setting { name: "aes-192", flags: &["--smuxver", "1", "--crypt", "aes-192"] },
    Setting { name: "salsa20", flags: &["--smuxver", "1", "--crypt", "salsa20"] },
    Setting { name: "blowfish", flags: &["--smuxver", "1", "--crypt", "blowfish"] },
    Setting { name: "twofish", flags: &["--smuxver", "1", "--crypt", "twofish"] },
    Setting { name: "cast5", flags: &["--smuxver", "1", "--crypt", "cast5"] },
    Setting { name: "3des", flags: &["--smuxver", "1", "--crypt", "3des"] },
    Setting { name: "tea", flags: &["--smuxver", "1", "--crypt", "tea"] },
    Setting { name: "xtea", flags: &["--smuxver", "1", "--crypt", "xtea"] },
    Setting { name: "xor", flags: &["--smuxver", "1", "--crypt", "xor"] },
    Setting { name: "sm4", flags: &["--smuxver", "1", "--crypt", "sm4"] },
    Setting { name: "normal", flags: &["--smuxver", "1", "--mode", "normal"] },
    Setting { name: "fast2", flags: &["--smuxver", "1", "--mode", "fast2"] },
    Setting { name: "fast3", flags: &["--smuxver", "1", "--mode", "fast3"] },
    Setting {
        name: "cwnd",
        flags: &["--smuxver", "1", "--mode", "manual", "--nc", "0", "--resend", "2", "--interval", "10"],
    },
    Setting { name: "mtu-512", flags: &["--smuxver", "1", "--mtu", "512"] },
    Setting { name: "mtu-1472", flags: &["--smuxver", "1", "--mtu", "1472"] },
    Setting { name: "fec-3-2", flags: &["--smuxver", "1", "--datashard", "3", "--parityshard", "2"] },
    Setting { name: "fec-20-10", flags: &["--smuxver", "1", "--datashard", "20", "--parityshard", "10"] },
    Setting { name: "windows", flags: &["--smuxver", "2", "--sndwnd", "1024", "--rcvwnd", "1024"] },
    Setting { name: "window-16", flags: &["--smuxver", "2", "--sndwnd", "16", "--rcvwnd", "16"] },
    Setting { name: "streambuf-4096", flags: &["--smuxver", "2", "--streambuf", "4096"] },
    Setting { name: "acknodelay", flags: &["--smuxver", "1", "--acknodelay"] },
];

/// The links of the impaired cells, in both directions: 10 % loss, 10 % reordering, 1 % duplicates.
pub fn impaired() -> LinkPlan {
    LinkPlan {
        loss: LossPlan::Bernoulli { ppm: 100_000 }.into(),
        delay_us: 5_000.into(),
        reorder: Some(ReorderPlan { ppm: 100_000, extra_us: 15_000 }.into()),
        duplicate_ppm: 10_000.into(),
        ..LinkPlan::default()
    }
}

/// Size and bounds of the work in each cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Streams open at the same time.
    pub streams: usize,
    /// Bytes of each stream in each direction.
    pub stream_bytes: usize,
    /// Time limit of the cell.
    pub limit: Duration,
}

impl Default for Work {
    fn default() -> Self {
        Self { streams: 4, stream_bytes: 1 << 20, limit: Duration::from_secs(60) }
    }
}

/// Every client with every server, in every setting on a clean path, and in the first one on an impaired path.
pub fn matrix(clients: &[Program], servers: &[Program], settings: &[Setting], work: Work) -> Vec<Cell> {
    let mut cells = Vec::new();
    for client in clients {
        for server in servers {
            let cell = |setting: &Setting, impaired| Cell {
                client: client.clone(),
                server: server.clone(),
                setting: *setting,
                impaired,
                work,
            };
            cells.extend(settings.iter().map(|setting| cell(setting, None)));
            cells.extend(settings.first().map(|setting| cell(setting, Some(impaired()))));
        }
    }
    cells
}

/// Settings that mihomo does not have: it always sends parity, and does not know sm4.
const NOT_IN_MIHOMO: [&str; 2] = ["no-fec", "sm4"];

/// Both programs of karst with `mihomo`, in every setting that it has.
pub fn with_mihomo(karst: &Peer, mihomo: PathBuf, settings: &[Setting], work: Work) -> Vec<Cell> {
    let mihomo = [Program::new(mihomo::NAME, mihomo)];
    let [clients, servers] = Program::of_peers(std::slice::from_ref(karst));
    let has = |setting: &&Setting| !NOT_IN_MIHOMO.contains(&setting.name);
    let settings: Vec<Setting> = [&[MIHOMO], settings].concat().iter().filter(has).copied().collect();
    let mut cells = matrix(&clients, &mihomo, &settings, work);
    cells.extend(matrix(&mihomo, &servers, &settings, work));
    cells
}
