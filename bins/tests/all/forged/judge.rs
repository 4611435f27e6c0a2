//! tshark's verdict on a flow.

use super::net::Space;
use crate::common::Program;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A running capture of TCP at one device.
pub(super) struct Capture {
    dumpcap: Program,
    file: PathBuf,
}

/// One captured segment.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) from: String,
    pub(super) flags: u32,
    pub(super) len: u64,
    /// 1 when the checksum is right.
    pub(super) checksum: u32,
    pub(super) ip_checksum: u32,
    pub(super) window: u32,
    pub(super) seq: u64,
    pub(super) ack: u64,
    /// What tshark finds remarkable.
    pub(super) remarks: String,
    pub(super) packet_len: u64,
}

impl Capture {
    pub(super) fn start(space: &Space, device: &str, test: &str) -> Self {
        let file = std::env::temp_dir().join(format!("karst-forged-{}-{test}.pcap", std::process::id()));
        let path = file.to_str().unwrap();
        let dumpcap =
            space.start("dumpcap", &["-q", "-P", "-i", device, "-f", "tcp", "-B", "64", "-w", path]);
        dumpcap.wait_for("File: ");
        Self { dumpcap, file }
    }

    /// Ends the capture; the segments in order.
    pub(super) fn stop(mut self) -> Vec<Seen> {
        std::thread::sleep(Duration::from_millis(300));
        self.dumpcap.signal(libc::SIGINT);
        assert!(self.dumpcap.wait(Duration::from_secs(20)).is_some());
        let fields = [
            "ip.src",
            "ipv6.src",
            "tcp.flags",
            "tcp.len",
            "tcp.checksum.status",
            "ip.checksum.status",
            "tcp.window_size_value",
            "tcp.seq_raw",
            "tcp.ack_raw",
            "_ws.expert.message",
            "ip.len",
            "ipv6.plen",
        ];
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(&self.file).args([
            "-n",
            "-T",
            "fields",
            "-E",
            "separator=|",
            "-E",
            "occurrence=a",
        ]);
        tshark.args([
            "-o",
            "tcp.check_checksum:TRUE",
            "-o",
            "ip.check_checksum:TRUE",
            "-o",
            "tcp.desegment_tcp_streams:FALSE",
        ]);
        tshark.args(fields.iter().flat_map(|field| ["-e", *field]));
        let output = tshark.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(Self::seen).collect()
    }

    fn seen(line: &str) -> Seen {
        let field: Vec<&str> = line.split('|').collect();
        let number = |at: usize| field[at].parse::<u64>().unwrap_or(0);
        Seen {
            from: format!("{}{}", field[0], field[1]),
            flags: u32::from_str_radix(field[2].trim_start_matches("0x"), 16).unwrap(),
            len: number(3),
            checksum: number(4) as u32,
            ip_checksum: if field[0].is_empty() { 1 } else { number(5) as u32 },
            window: number(6) as u32,
            seq: number(7),
            ack: number(8),
            remarks: field[9].to_owned(),
            packet_len: if field[0].is_empty() { number(11) + 40 } else { number(10) },
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

pub(super) const PSH_ACK: u32 = 0x18;
pub(super) const RST: u32 = 0x04;
