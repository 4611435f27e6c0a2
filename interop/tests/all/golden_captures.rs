//! Captures of real kcptun pairs pass, and every kind of tampering fails its case with a message that names it.

use engine::crypt::{Cipher, MasterKey, Suite};
use interop::golden::{Found, Report, Verdict, find};
use std::path::{Path, PathBuf};

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden")
}

#[test]
fn all_recorded_cases_pass() {
    let report = Report(find(&[scenarios()]));
    let red: Vec<_> = report.0.cases.iter().filter(|case| case.verdict.is_failure()).collect();
    assert!(report.is_success(), "{red:#?}");
    let totals = report.totals();
    assert!(totals.pass >= 100 && totals.unsupported == 0, "{totals:?}");
}

/// A copy of one case in a folder of its own.
struct Twin {
    folder: PathBuf,
    name: &'static str,
}

impl Twin {
    fn new(test: &str, name: &'static str) -> Self {
        let folder = std::env::temp_dir().join(format!("karst-twin-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let twin = Self { folder, name };
        for ending in ["json", "pcap"] {
            let from = scenarios().join("captures").join(format!("{name}.{ending}"));
            std::fs::write(twin.path(ending), std::fs::read(from).unwrap()).unwrap();
        }
        twin
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("json")).unwrap()).unwrap()
    }

    fn edit_json(&self, edit: impl FnOnce(&mut serde_json::Value)) {
        let mut json = self.json();
        edit(&mut json);
        std::fs::write(self.path("json"), json.to_string()).unwrap();
    }

    fn edit_pcap(&self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut pcap = std::fs::read(self.path("pcap")).unwrap();
        edit(&mut pcap);
        std::fs::write(self.path("pcap"), pcap).unwrap();
    }

    /// Opens each datagram (UDP over IPv4), lets `edit` change its payload, and seals it again. `edit` gets the frame number
    /// and true for the direction towards the server.
    fn edit_payloads(&self, mut edit: impl FnMut(usize, bool, &mut [u8])) {
        let json = self.json();
        let side = &json["settings"]["client"];
        let cipher = Cipher::from_name(side["crypt"].as_str().unwrap()).unwrap();
        let suite = Suite::new(cipher, &MasterKey::derive(side["key"].as_str().unwrap().as_bytes()));
        let server_port = json["captures"][0]["server_port"].as_u64().unwrap() as u16;
        self.edit_pcap(|pcap| {
            for (at, record) in records(pcap).into_iter().enumerate() {
                let towards_server = pcap[record + 52..record + 54] == server_port.to_be_bytes();
                let end = record
                    + 16
                    + u32::from_le_bytes(pcap[record + 8..record + 12].try_into().unwrap()) as usize;
                let datagram = &mut pcap[record + 58..end];
                let range = suite.open(datagram).unwrap();
                edit(at + 1, towards_server, &mut datagram[range]);
                let nonce = datagram[..cipher.nonce_len()].to_vec();
                suite.seal(&nonce, datagram);
            }
        });
    }

    /// The one verdict of the folder; it must be red.
    fn red(&self) -> String {
        let Found { cases, .. } = find(std::slice::from_ref(&self.folder));
        assert_eq!(cases.len(), 1, "{cases:?}");
        match &cases[0].verdict {
            Verdict::Fail { why } => format!("fail {why}"),
            Verdict::Broken { why } => format!("broken {why}"),
            green => panic!("{green:?}"),
        }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Offsets of the record headers.
fn records(pcap: &[u8]) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut at = 24;
    while at < pcap.len() {
        offsets.push(at);
        at += 16 + u32::from_le_bytes(pcap[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    offsets
}

#[test]
fn an_unchanged_capture_passes() {
    for name in ["up26-cipher-none", "up26-cipher-aes", "up26-cipher-salsa20"] {
        let twin = Twin::new(&format!("nothing-{name}"), name);
        twin.edit_payloads(|_, _, _| {});
        twin.edit_json(|_| {});
        assert!(Report(find(std::slice::from_ref(&twin.folder))).is_success());
    }
}

#[test]
fn unknown_multiplexers_are_named() {
    let twin = Twin::new("mux", "up26-cipher-none");
    twin.edit_json(|json| json["mux"] = "h2mux".into());
    let report = Report(find(std::slice::from_ref(&twin.folder))).to_string();
    assert!(report.contains("unsupported  multiplexer \"h2mux\""), "{report}");
}

/// A frame of a dialect is damaged below an intact checksum, in the first segment of the stream.
#[test]
fn one_damaged_frame_of_each_dialect() {
    for (name, at, says) in [
        ("b204-streambuf-small-bulk", 1, "no smuxb frame at byte"),
        ("o16-none-fec-off-nocomp", 1, "no yamux frame at byte"),
    ] {
        let twin = Twin::new(&format!("frame-{name}"), name);
        twin.edit_payloads(|_, towards_server, payload| {
            let first = payload[4] == 81 && payload[12..16] == [0; 4];
            if towards_server && first {
                payload[24 + at] = 0x77;
            }
        });
        let why = twin.red();
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn one_flipped_bit_in_a_datagram() {
    let twin = Twin::new("bit", "up26-cipher-aes");
    twin.edit_pcap(|pcap| {
        let record = records(pcap)[9];
        pcap[record + 58 + 30] ^= 4;
    });
    let why = twin.red();
    assert!(why.contains("datagrams_failing_integrity_check: recorded 0, engine 1 (frames 10)"), "{why}");
}

#[test]
fn one_flipped_bit_in_a_datagram_without_integrity_check() {
    let twin = Twin::new("null", "up26-cipher-null");
    twin.edit_pcap(|pcap| {
        let record = *records(pcap).last().unwrap();
        pcap[record + 58 + 9] ^= 4;
    });
    assert!(twin.red().starts_with("fail"));
}

/// Two of the longest data segments change places.
#[test]
fn one_swapped_segment() {
    let twin = Twin::new("swap", "o17-none-fec-off-nocomp");
    let mut pushes: Vec<(usize, [u8; 4], usize)> = Vec::new();
    twin.edit_payloads(|frame, towards_server, payload| {
        if towards_server && payload[4] == 81 {
            pushes.push((frame, payload[12..16].try_into().unwrap(), payload.len()));
        }
    });
    let longest = pushes.iter().map(|push| push.2).max().unwrap();
    pushes.retain(|push| push.2 == longest);
    let (a, b) = (pushes[0], pushes[1]);
    twin.edit_payloads(|frame, _, payload| {
        if frame == a.0 {
            payload[12..16].copy_from_slice(&b.1);
        } else if frame == b.0 {
            payload[12..16].copy_from_slice(&a.1);
        }
    });
    let why = twin.red();
    assert!(
        why.contains("c2s: ") && (why.contains("content: differ from byte") || why.contains("smux frame")),
        "{why}"
    );
}

#[test]
fn one_segment_sent_again_with_other_bytes() {
    let twin = Twin::new("other", "o17-none-fec-off-nocomp");
    let mut first = None;
    twin.edit_payloads(|_, towards_server, payload| {
        if !towards_server || payload[4] != 81 {
            return;
        }
        match first {
            None => first = Some(payload[12..16].to_vec()),
            Some(ref sn) => payload[12..16].copy_from_slice(sn),
        }
    });
    let why = twin.red();
    assert!(why.contains("segment sn 0 was sent before with other bytes"), "{why}");
}

#[test]
fn one_shifted_timestamp() {
    let twin = Twin::new("time", "up26-cipher-aes");
    twin.edit_pcap(|pcap| {
        let record = *records(pcap).last().unwrap();
        let seconds = u32::from_le_bytes(pcap[record..record + 4].try_into().unwrap());
        pcap[record..record + 4].copy_from_slice(&(seconds + 1).to_le_bytes());
    });
    let why = twin.red();
    assert!(why.contains("duration: recorded"), "{why}");
}

#[test]
fn one_wrong_parity_byte() {
    let twin = Twin::new("parity", "up26-cipher-aes");
    let mut hit = None;
    twin.edit_payloads(|frame, towards_server, payload| {
        if hit.is_none() && towards_server && payload[4..6] == [0xf2, 0x00] {
            payload[20] ^= 1;
            hit = Some(frame);
        }
    });
    let why = twin.red();
    let place = format!(
        "FEC group 0: parity shard 0 in frame {}: type and body differ from byte 16 on",
        hit.unwrap()
    );
    assert!(why.contains(&place), "{why}");
}

#[test]
fn one_wrong_sha256() {
    let twin = Twin::new("sha", "up26-cipher-aes");
    twin.edit_json(|json| json["streams"][0]["s2c"]["sha256"] = "00".repeat(32).into());
    let why = twin.red();
    assert!(why.contains("stream 0 s2c: parts give sha256"), "{why}");
}

/// Length and hash agree with the parts, but something else was carried.
#[test]
fn other_content() {
    use sha2::Digest;
    let twin = Twin::new("content", "up26-cipher-aes");
    twin.edit_json(|json| {
        let text = "x".repeat(json["streams"][0]["s2c"]["length"].as_u64().unwrap() as usize);
        let sha256: Vec<String> =
            sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        json["streams"][0]["s2c"]["sha256"] = sha256.concat().into();
        json["streams"][0]["s2c"]["parts"] = serde_json::json!([{ "kind": "literal", "text": text }]);
    });
    let why = twin.red();
    assert!(
        why.contains("stream 0 (mux id 3): s2c: content: differ from byte 0 on: recorded 78787878"),
        "{why}"
    );
}

/// Every recorded figure of a direction is compared: each one in turn is set off by one.
#[test]
fn every_figure_counts() {
    let twin = Twin::new("figures", "up26-cipher-aes");
    let json = twin.json();
    let figures = json["captures"][0]["connections"][0]["c2s"].as_object().unwrap().clone();
    assert!(figures.len() > 18, "{figures:?}");
    for name in figures.keys() {
        twin.edit_json(|json| {
            let figure = &mut json["captures"][0]["connections"][0]["c2s"][name];
            match figure.as_u64() {
                Some(count) => *figure = (count + 1).into(),
                None => figure["PSH"] = 1000.into(),
            }
        });
        let why = twin.red();
        assert!(why.contains(&format!("figure {name}")), "{name}: {why}");
        std::fs::write(twin.path("json"), json.to_string()).unwrap();
    }
    twin.edit_json(|json| json["captures"][0]["connections"][0]["c2s"]["kcp_unheard_of"] = 0.into());
    assert!(twin.red().contains("figure kcp_unheard_of: recorded 0, found none"));
}

#[test]
fn wrong_key() {
    let twin = Twin::new("key", "up26-cipher-aes");
    twin.edit_json(|json| json["settings"]["client"]["key"] = "another".into());
    assert!(twin.red().contains("datagrams_failing_integrity_check"));
}

#[test]
fn damaged_files_are_named_and_red() {
    let twin = Twin::new("damaged", "up26-cipher-aes");
    let whole = std::fs::read(twin.path("pcap")).unwrap();
    std::fs::write(twin.path("pcap"), &whole[..whole.len() - 10]).unwrap();
    assert!(twin.red().contains("broken up26-cipher-aes.pcap: ends inside record"));
    std::fs::write(twin.path("pcap"), b"no capture at all").unwrap();
    assert!(twin.red().contains("not a classic pcap file"));
    std::fs::remove_file(twin.path("pcap")).unwrap();
    assert!(twin.red().starts_with("broken up26-cipher-aes.pcap: "));
    std::fs::write(twin.path("json"), "{\"format\": ").unwrap();
    assert!(twin.red().starts_with("broken "));
    std::fs::write(twin.path("json"), "{\"format\": \"kcptun-golden-capture-1\"}").unwrap();
    assert!(twin.red().contains("missing field"));
}

/// Cut anywhere, with any byte changed: a verdict, never a panic.
#[test]
fn any_corruption_gives_a_verdict() {
    let twin = Twin::new("any", "up26-mtu-1472-null-nofec");
    let whole = std::fs::read(twin.path("pcap")).unwrap();
    for at in (0..whole.len().min(4000)).step_by(41) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xa5;
        std::fs::write(twin.path("pcap"), &damaged).unwrap();
        assert_eq!(find(std::slice::from_ref(&twin.folder)).cases.len(), 1);
        if at % 5 == 0 {
            std::fs::write(twin.path("pcap"), &whole[..at]).unwrap();
            assert!(twin.red().starts_with("broken"));
        }
    }
}

#[test]
fn traces_that_end_early_are_named_and_red() {
    let twin = Twin::new("trace", "up26-cipher-aes");
    std::fs::remove_file(twin.path("json")).unwrap();
    let trace = std::fs::read(scenarios().join("kcp-traces/mode-fast.jsonl.gz")).unwrap();
    std::fs::write(twin.path("jsonl.gz"), &trace[..trace.len() / 2]).unwrap();
    assert!(twin.red().starts_with("broken"));
    std::fs::write(twin.path("jsonl.gz"), b"not gzip").unwrap();
    assert!(twin.red().starts_with("broken"));
}

#[test]
fn other_files_are_ignored_and_an_empty_folder_fails() {
    let twin = Twin::new("odd", "up26-cipher-aes");
    for ending in ["json", "pcap"] {
        std::fs::remove_file(twin.path(ending)).unwrap();
    }
    assert!(!Report(find(std::slice::from_ref(&twin.folder))).is_success());
    std::fs::create_dir(twin.folder.join("empty")).unwrap();
    for (name, text) in
        [("list.json", "[1, 2]"), ("other.json", "{\"format\": \"x\"}"), ("a.txt", "a"), ("b.pcap", "")]
    {
        std::fs::write(twin.folder.join(name), text).unwrap();
    }
    let found = find(std::slice::from_ref(&twin.folder));
    assert_eq!((found.cases.len(), found.ignored.len()), (0, 4), "{found:?}");
    assert!(!Report(found).is_success());
    assert!(!Report(find(&[twin.folder.join("is not there")])).is_success());
}

fn tcp_twin(test: &str, name: &'static str) -> Twin {
    let folder = std::env::temp_dir().join(format!("karst-twin-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let twin = Twin { folder, name };
    for ending in ["json", "pcap"] {
        let from = scenarios().join("captures-tcp").join(format!("{name}.{ending}"));
        std::fs::write(twin.path(ending), std::fs::read(from).unwrap()).unwrap();
    }
    twin
}

/// Every recorded figure of the TCP layer is compared: each one in turn is changed.
#[test]
fn every_figure_of_the_tcp_layer_counts() {
    for name in ["tcp-up26-default", "tcp-t17-default", "tcp-up26-ipv6-dscp-46"] {
        let twin = tcp_twin(&format!("tcp-{name}"), name);
        let json = twin.json();
        for direction in ["c2s", "s2c"] {
            let mut paths = Vec::new();
            leaves(&json["captures"][0]["tcp"][0][direction], String::new(), &mut paths);
            assert!(paths.len() > 60, "{paths:?}");
            for path in paths.iter().filter(|path| !path.ends_with("rule/seq") && !path.ends_with("rule/ack"))
            {
                twin.edit_json(|json| {
                    let figure = json["captures"][0]["tcp"][0][direction].pointer_mut(path).unwrap();
                    *figure = match figure {
                        serde_json::Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
                        _ => "other".into(),
                    };
                });
                let why = twin.red();
                let figure = path.split('/').nth(1).unwrap();
                assert!(why.contains("figure tcp[0]") && why.contains(figure), "{path}: {why}");
                std::fs::write(twin.path("json"), json.to_string()).unwrap();
            }
        }
    }
}

/// Paths to the values that are neither objects nor arrays.
fn leaves(value: &serde_json::Value, path: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            for (name, value) in entries {
                leaves(value, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => found.push(path),
    }
}

/// A changed header field with a correct checksum, and one with a wrong one.
#[test]
fn one_changed_tcp_header() {
    let twin = tcp_twin("tcp-header", "tcp-up26-default");
    let whole = std::fs::read(twin.path("pcap")).unwrap();
    let record = records(&whole)[20];
    // Ethernet and IPv4 headers precede.
    let tcp = record + 16 + 14 + 20;
    twin.edit_pcap(|pcap| pcap[tcp + 4 + 3] ^= 1);
    assert!(twin.red().contains("figure tcp[0]"), "{}", twin.red());
    std::fs::write(twin.path("pcap"), &whole).unwrap();
    // The window moves, and the checksum with it.
    twin.edit_pcap(|pcap| {
        pcap[tcp + 15] -= 1;
        let checksum = u16::from_be_bytes([pcap[tcp + 16], pcap[tcp + 17]]);
        pcap[tcp + 16..tcp + 18].copy_from_slice(&checksum.wrapping_add(1).to_be_bytes());
    });
    assert!(twin.red().contains("window"), "{}", twin.red());
    std::fs::write(twin.path("pcap"), &whole).unwrap();
    twin.edit_json(|json| json["transport"]["client"] = "libpcap".into());
    assert!(twin.red().contains("kcptun-tcp recorded, upstream found"), "{}", twin.red());
    twin.edit_json(|json| json["captures"][0]["tcp"] = serde_json::json!([]));
    assert!(twin.red().contains("broken"), "{}", twin.red());
}
