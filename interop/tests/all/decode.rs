//! `decode`: parameters, streams and repairs of recorded captures agree with the recordings; damaged files show what is
//! before the damage.

use interop::decode::{Decode, DecodeError, Done, Outputs};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden")
}

fn temporary(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decode");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// The JSON lines of a capture, and how decoding ended.
fn lines(path: &Path, key: &str, summary: bool) -> (Vec<Value>, Result<Done, DecodeError>) {
    let mut text = Vec::new();
    let decode = Decode { key: key.into(), json: true, summary, ..Decode::default() };
    let done = decode.run(path, Outputs { text: &mut text, pcapng: None, recording: None });
    let text = String::from_utf8(text).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), done)
}

fn of_kind<'l>(lines: &'l [Value], kind: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// CRYPT-17, FEC-4, SNAP-1, MUX-1: from the key alone, `decode` finds what the recorder of each capture knew.
#[test]
fn every_recorded_capture_shows_its_parameters_and_streams() {
    let mut legs = 0;
    for folder in ["captures", "captures-tcp"] {
        for entry in std::fs::read_dir(golden().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "json") || path.ends_with("index.json") {
                continue;
            }
            let case: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            for leg in case["captures"].as_array().unwrap() {
                check(&case, leg, &path.with_file_name(leg["file"].as_str().unwrap()));
                legs += 1;
            }
        }
    }
    assert!(legs >= 60, "{legs} captures");
}

fn check(case: &Value, leg: &Value, path: &Path) {
    let (client, server) = (&case["settings"]["client"], &case["settings"]["server"]);
    let (lines, done) = lines(path, client["key"].as_str().unwrap(), true);
    let name = path.display();
    done.unwrap();
    let flows: Vec<_> =
        of_kind(&lines, "flow").into_iter().filter(|flow| !flow["cipher"].is_null()).collect();
    assert_eq!(flows.len(), leg["connections"].as_array().unwrap().len(), "{name}");
    let cipher = match client["crypt"].as_str().unwrap() {
        "aes-256" => "aes",
        crypt => crypt,
    };
    let fec = |side: &Value, parity: &str| match (side["datashard"].as_u64(), side["parityshard"].as_u64()) {
        (Some(data), Some(shards)) if data > 0 && shards > 0 && leg_has_parity(leg, parity) => {
            json!([data, shards])
        }
        _ => Value::Null,
    };
    for flow in &flows {
        assert_eq!(flow["cipher"], cipher, "{name}");
        assert_eq!(flow["server"], leg["server"], "{name}");
        assert_eq!(flow["tcp"], !case["transport"].is_null(), "{name}");
        for (found, expected) in [("client_fec", fec(client, "c2s")), ("server_fec", fec(server, "s2c"))] {
            assert!(flow[found] == expected, "{name}: {found} {} is {expected}", flow[found]);
        }
    }
    let session = of_kind(&lines, "session")[0];
    let mux = match case["mux"].as_str().unwrap() {
        "smux" => format!("smux version {}", client["smuxver"].as_u64().unwrap_or(1)),
        other => other.to_owned(),
    };
    assert_eq!(session["mux"], mux, "{name}");
    let compressed = [client, server].map(|side| !side["nocomp"].as_bool().unwrap());
    assert_eq!(session["compressed"], json!(compressed), "{name}: {session}");
    let found: BTreeMap<(u64, u64), &Value> = of_kind(&lines, "stream")
        .into_iter()
        .map(|stream| ((stream["session"].as_u64().unwrap(), stream["stream"].as_u64().unwrap()), stream))
        .collect();
    let recorded = leg["streams"].as_array().unwrap();
    assert_eq!(found.len(), recorded.len(), "{name}: {found:?}");
    for carried in recorded {
        let contents = &case["streams"][carried["index"].as_u64().unwrap() as usize];
        let id = carried["mux_stream_id"].as_u64().unwrap();
        let conv = &leg["connections"][carried["connection"].as_u64().unwrap() as usize]["conv"];
        let session =
            of_kind(&lines, "session").into_iter().find(|session| session["conv"] == *conv).unwrap();
        let stream = found[&(session["session"].as_u64().unwrap(), id)];
        for (half, recorded, fin) in [("up", "c2s", "fin_c2s"), ("down", "s2c", "fin_s2c")] {
            assert_eq!(stream[half]["bytes"], contents[recorded]["length"], "{name} stream {id} {half}");
            assert_eq!(
                stream[half]["end"].is_u64(),
                carried[fin] == true,
                "{name} stream {id} {half}: {stream}"
            );
        }
    }
}

fn leg_has_parity(leg: &Value, direction: &str) -> bool {
    let parity = |connection: &Value| connection[direction]["fec_parity_shards"].as_u64().unwrap_or(0);
    leg["connections"].as_array().unwrap().iter().any(|connection| parity(connection) > 0)
}

/// FEC-7, KCP-9: repairs and retransmissions are those that an independent decoder counted.
#[test]
fn losses_are_shown_as_retransmissions_and_repairs() {
    let path = golden().join("captures/deb21-lossy-fec-10-3.client.pcap");
    let case: Value = serde_json::from_str(
        &std::fs::read_to_string(path.with_file_name("deb21-lossy-fec-10-3.json")).unwrap(),
    )
    .unwrap();
    let key = case["settings"]["client"]["key"].as_str().unwrap();
    let (lines, done) = lines(&path, key, false);
    let recorded = &case["captures"][0]["connections"][0];
    let flow = of_kind(&lines, "flow")[0];
    for (half, direction) in [("up", "c2s"), ("down", "s2c")] {
        let (found, recorded) = (&flow[half], &recorded[direction]);
        assert_eq!(found["datagrams"], recorded["datagrams"]);
        assert_eq!(found["pushes"], recorded["kcp_push"]);
        assert_eq!(found["acks"], recorded["kcp_ack"]);
        assert_eq!(found["retransmitted"], recorded["kcp_push_retransmitted"]);
        assert_eq!(found["fec_parity"], recorded["fec_parity_shards"]);
    }
    let datagrams = of_kind(&lines, "datagram");
    assert_eq!(datagrams.len() as u64, done.unwrap().datagrams);
    let repaired = datagrams.iter().filter(|datagram| datagram["rebuilt"].is_array()).count();
    assert!(repaired >= 5, "{repaired}");
    let mut text = Vec::new();
    let decode = Decode { key: key.into(), ..Decode::default() };
    decode.run(&path, Outputs { text: &mut text, pcapng: None, recording: None }).unwrap();
    let text = String::from_utf8(text).unwrap();
    for words in [
        "RETRANSMITTED (2., first in #1): acknowledgements of 1 passed it",
        "parity rebuilds segments 4: REPAIRED",
        "stream 3: opened",
        "9 repaired by parity",
    ] {
        assert!(text.contains(words), "{words}");
    }
}

/// CRYPT-18: without the key nothing opens, and the flow is reported as such.
#[test]
fn another_key_opens_nothing() {
    let (lines, done) = lines(&golden().join("captures/deb21-default.pcap"), "another key", true);
    assert_eq!(done.unwrap().opened, 0);
    assert!(of_kind(&lines, "flow")[0]["cipher"].is_null());
}

/// Everything before a defect is shown; the error has file and offset.
#[test]
fn damaged_files_show_what_is_before_the_damage() {
    let whole = std::fs::read(golden().join("captures/deb21-default.pcap")).unwrap();
    let key = "it's a secrect";
    let first = 24 + 16 + u32::from_le_bytes(whole[32..36].try_into().unwrap()) as usize;
    let mut wild = whole.clone();
    wild[first + 8..first + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    for (name, bytes, datagrams, place) in [
        (
            "cut-in-packet",
            whole[..first + 20].to_vec(),
            1,
            format!("byte {first}, after 1 packets: the file ends within a packet"),
        ),
        (
            "cut-in-header",
            whole[..first + 9].to_vec(),
            1,
            format!("byte {first}, after 1 packets: the file ends within the header"),
        ),
        ("wild-length", wild, 1, format!("byte {first}, after 1 packets: a packet of 2147483647 bytes")),
        ("garbage", vec![7; 1_000], 0, "byte 0, after 0 packets: neither a pcap nor a pcapng file".into()),
        ("empty", Vec::new(), 0, "byte 0, after 0 packets: neither".into()),
    ] {
        let path = temporary(&format!("{name}.pcap"));
        std::fs::write(&path, bytes).unwrap();
        let (lines, done) = lines(&path, key, false);
        assert_eq!(of_kind(&lines, "datagram").len(), datagrams, "{name}");
        let error = done.unwrap_err().to_string();
        assert!(error.contains(&place) && error.contains(&format!("{name}.pcap")), "{error}");
    }
    // Bit errors anywhere neither panic nor hang.
    for at in (0..whole.len()).step_by(whole.len() / 200) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let path = temporary("flipped.pcap");
        std::fs::write(&path, bytes).unwrap();
        let _ = lines(&path, key, true);
    }
}

/// Captures at both ends, as `karst-sim run --pcap` writes them: what arrives repeats what left.
#[test]
fn captures_of_the_simulator_are_decoded() {
    let program = Path::new(env!("CARGO_BIN_EXE_karst-interop")).with_file_name("karst-sim");
    if !program.exists() {
        let _ = writeln!(std::io::stderr(), "SKIPPED captures of the simulator: karst-sim is not built");
        return;
    }
    let (path, scenario) = (temporary("simulated.pcapng"), golden().join("../lossy-adsl.json"));
    let output = Command::new(program).arg("run").arg(scenario).arg("--pcap").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (lines, done) = lines(&path, "it's a secrect", true);
    let done = done.unwrap();
    assert_eq!(done.other, 0);
    assert!(done.opened > 1_000, "{done:?}");
    for flow in of_kind(&lines, "flow") {
        assert!(flow["up"]["duplicates"].as_u64() > Some(100), "{flow}");
        assert!(flow["down"]["retransmitted"].as_u64() > Some(0), "{flow}");
    }
    let streams = of_kind(&lines, "stream");
    let bytes: u64 = streams.iter().map(|stream| stream["down"]["bytes"].as_u64().unwrap()).sum();
    assert!(bytes > 100_000, "{bytes}");
}

#[test]
fn tshark_shows_decrypted_payloads_and_comments() {
    let (path, out) = (golden().join("captures/up26-cipher-aes.pcap"), temporary("clear.pcapng"));
    let mut file = std::fs::File::create(&out).unwrap();
    let case: Value =
        serde_json::from_str(&std::fs::read_to_string(path.with_extension("json")).unwrap()).unwrap();
    let key = case["settings"]["client"]["key"].as_str().unwrap();
    let decode = Decode { key: key.into(), ..Decode::default() };
    let mut text = Vec::new();
    let done =
        decode.run(&path, Outputs { text: &mut text, pcapng: Some(&mut file), recording: None }).unwrap();
    drop(file);
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&out).args(["-n", "-T", "fields", "-E", "separator=|"]);
    let Ok(shown) = command.args(["-e", "udp.payload", "-e", "frame.comment", "-e", "udp.dstport"]).output()
    else {
        let _ = writeln!(std::io::stderr(), "SKIPPED decoded captures in tshark: it is not installed");
        return;
    };
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.lines().count() as u64, done.datagrams);
    let fields: Vec<&str> = shown.lines().next().unwrap().split('|').collect();
    assert!(fields[1].contains("aes; FEC data 0: shard 0 of group 0; push 0: "), "{}", fields[1]);
    assert!(fields[0].starts_with("00000000f100"), "{}", fields[0]);
    assert_eq!(fields[2], case["captures"][0]["server_port"].to_string());
}

#[test]
fn a_page_of_charts_shows_the_capture() {
    let path = golden().join("captures/up26-lossy-fec-10-3.client.pcap");
    let path = if path.exists() { path } else { golden().join("captures/deb21-lossy-fec-10-3.client.pcap") };
    let page = temporary("page.html");
    let name = path.file_name().unwrap().to_str().unwrap().replace(".client.pcap", ".json");
    let case: Value =
        serde_json::from_str(&std::fs::read_to_string(path.with_file_name(name)).unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
        .args(["decode", "--summary", "--key", case["settings"]["client"]["key"].as_str().unwrap(), "--html"])
        .args([&page, &path])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let html = std::fs::read_to_string(&page).unwrap();
    for words in ["client.pcap</h1>", "A capture of ", "causes of retransmissions are inferred", "FEC 10:3"] {
        assert!(html.contains(words), "{words}");
    }
    assert!(!html.contains("cut off</span>"));
}
