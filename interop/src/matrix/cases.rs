//! The built-in cases: fixed corners, every path, and a pairwise cover of the parameters.

use super::case::Case;
use super::cover::pairwise;
use super::judge::{Ways, Workload};
use super::path::{MOVES, PATHS};

/// Ciphers that every kcptun since 2021 has.
const CRYPT: [&str; 13] = [
    "aes", "aes-128", "aes-192", "salsa20", "blowfish", "twofish", "cast5", "3des", "tea", "xtea", "xor",
    "sm4", "none",
];
const FEC: [&str; 4] = ["10:3", "0:0", "3:2", "20:10"];
const MODE: [&str; 5] = ["fast", "normal", "fast2", "fast3", "manual"];
const MTU: [u32; 3] = [1350, 512, 1472];
const SMUX: [u8; 2] = [1, 2];
const CONN: [u32; 2] = [1, 4];

/// The corners, the paths, then the cover, which depends on `seed`.
pub fn all(seed: u64) -> Vec<Case> {
    [corners(), paths(), cover(seed)].concat()
}

/// The cases of a run of at most two minutes: each workload and the main parameters once.
pub fn core() -> Vec<Case> {
    let core = [
        "bulk",
        "bulk smux=2",
        "streams smux=2",
        "answer",
        "half-close",
        "stalled-reader smux=2",
        "idle --keepalive 1",
        "storm",
        "bulk crypt=none fec=0:0",
        "bulk comp=no crypt=aes-128 fec=3:2 mode=fast3 mtu=512 smux=2",
        "bulk crypt=salsa20 direction=down fec=20:10 mode=fast2",
        "bulk conn=4 direction=up mode=normal",
        "bulk path=loss-10",
        "bulk path=corrupt-1",
        "bulk path=reorder-40",
        "bulk mtu=900 path=mtu-1000",
        "steady",
        "bulk tcp=yes",
    ];
    let built_in = [corners(), paths()].concat();
    core.iter().filter_map(|name| built_in.iter().find(|case| case.name == *name)).cloned().collect()
}

fn corners() -> Vec<Case> {
    let work = |work, smuxver| Case { work, smuxver, ..Case::default() };
    let flagged =
        |case: Case, flags: &[&str]| Case { flags: flags.iter().map(ToString::to_string).collect(), ..case };
    let mut cases = Vec::new();
    for smuxver in SMUX {
        let all = Workload::ALL
            .iter()
            .filter(|work| !matches!(work, Workload::Idle | Workload::LongIdle | Workload::Reconnect));
        cases.extend(all.map(|one| work(*one, smuxver)));
        cases.push(flagged(work(Workload::Idle, smuxver), &["--keepalive", "1"]));
    }
    cases.push(work(Workload::LongIdle, 1));
    let bulk = Case::default();
    cases.extend([
        Case { crypt: "none".into(), fec: "0:0".into(), ..bulk.clone() },
        Case {
            crypt: "aes-128".into(),
            fec: "3:2".into(),
            mode: "fast3".into(),
            mtu: 512,
            smuxver: 2,
            comp: false,
            ..bulk.clone()
        },
        Case {
            crypt: "salsa20".into(),
            fec: "20:10".into(),
            mode: "fast2".into(),
            direction: Ways::Down,
            ..bulk.clone()
        },
        Case { mode: "normal".into(), conn: 4, direction: Ways::Up, ..bulk.clone() },
        flagged(bulk.clone(), &["--sndwnd", "16", "--rcvwnd", "16"]),
        flagged(bulk.clone(), &["--sndwnd", "1024", "--rcvwnd", "1024"]),
        flagged(Case { smuxver: 2, ..bulk.clone() }, &["--streambuf", "4096"]),
        flagged(bulk.clone(), &["--acknodelay"]),
        Case { tcp: true, ..bulk.clone() },
        Case { tcp: true, work: Workload::Streams, smuxver: 2, ..bulk },
    ]);
    grouped("corner", cases)
}

fn paths() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, (path, _)) in PATHS.iter().enumerate() {
        // Both versions of smux see half of the paths each.
        let case = Case { path: (*path).to_owned(), ..Case::default() };
        cases.push(match *path {
            "mtu-1000" => Case { mtu: 900, ..case },
            "loss-10" | "corrupt-1" | "reorder-40" => case,
            _ => Case { smuxver: SMUX[at % 2], ..case },
        });
    }
    for (path, _) in MOVES {
        for work in [Workload::Steady, Workload::Reconnect] {
            cases.push(Case { path: path.to_owned(), work, ..Case::default() });
        }
    }
    grouped("path", cases)
}

fn cover(seed: u64) -> Vec<Case> {
    let sizes = [CRYPT.len(), FEC.len(), MODE.len(), MTU.len(), 2, 2, CONN.len(), Ways::ALL.len(), 2];
    let case = |row: &[usize]| {
        let manual = MODE[row[2]] == "manual";
        let flags: &[&str] =
            if manual { &["--nodelay", "1", "--interval", "20", "--resend", "2", "--nc", "0"] } else { &[] };
        Case {
            crypt: CRYPT[row[0]].into(),
            fec: FEC[row[1]].into(),
            mode: MODE[row[2]].into(),
            mtu: MTU[row[3]],
            smuxver: SMUX[row[4]],
            comp: row[5] == 0,
            conn: CONN[row[6]],
            direction: Ways::ALL[row[7]],
            tcp: row[8] == 1,
            flags: flags.iter().map(ToString::to_string).collect(),
            ..Case::default()
        }
    };
    // With the headers of forged TCP, a packet of the largest mtu would be larger than 1,500 bytes.
    let fits = |row: &[usize]| !(row[8] == 1 && MTU[row[3]] > 1400);
    grouped("cover", pairwise(&sizes, seed, fits).iter().map(|row| case(row)).collect())
}

fn grouped(group: &str, cases: Vec<Case>) -> Vec<Case> {
    cases.into_iter().map(|case| Case { group: group.to_owned(), ..case }.named()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_the_core_is_complete() {
        let all = all(1);
        let names: BTreeSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(core().len(), 18);
        let works: BTreeSet<Workload> = all.iter().map(|case| case.work).collect();
        assert_eq!(works.len(), Workload::ALL.len());
        assert!(PATHS.iter().all(|(path, _)| all.iter().any(|case| case.path == *path)));
    }
}
