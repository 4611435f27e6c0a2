//! Both versions against the bytes smux v1.5.52 wrote (scenarios/golden/vectors/smux.json).
use engine::mux::{Mux, Role, Settings, Smux, WriteError};
use engine::{Instant, StreamId};
use serde_json::Value;

struct Session {
    client: Smux,
    server: Smux,
}

impl Session {
    fn new(version: u8) -> Self {
        let settings = Settings { version, ..Settings::default() };
        Self {
            client: Smux::new(settings.clone(), Role::Client, Instant::ZERO),
            server: Smux::new(settings, Role::Server, Instant::ZERO),
        }
    }

    fn read(&mut self, client: bool, id: u32, n: usize) {
        let side = if client { &mut self.client } else { &mut self.server };
        assert!(side.peek(StreamId(id)).unwrap().len() >= n);
        side.consume(StreamId(id), n);
    }

    /// One step of the recording, named by its own text.
    fn run(&mut self, what: &str) {
        match what {
            "open stream #1" | "open stream #2" => drop(self.client.open().unwrap()),
            "write \"hello\"" => drop(self.client.write(StreamId(3), b"hello").unwrap()),
            "write \"again\"" => drop(self.client.write(StreamId(3), b"again").unwrap()),
            "after application read 5 bytes (first read => UPD in v2)" | "after second read (no UPD)" => {
                self.read(false, 3, 5);
            }
            "write 10 bytes on stream #2" => drop(self.server.write(StreamId(5), &[0x5a; 10]).unwrap()),
            "read 4 of 10 bytes" => self.read(true, 5, 4),
            "read the other 6" => self.read(true, 5, 6),
            "server-opened stream (not used by kcptun)" => assert_eq!(self.server.open(), Ok(StreamId(2))),
            "close stream #1" if self.client.write_room(StreamId(3)).is_ok() => {
                self.client.close(StreamId(3))
            }
            "close stream #1" => self.server.close(StreamId(3)),
            "write after having received FIN (refused, nothing on the wire)" => {
                assert_eq!(self.server.write(StreamId(3), b"x"), Err(WriteError::PeerFinished));
            }
            other => panic!("unknown step {other}"),
        }
    }

    /// Delivers the pending bytes of each side to the other.
    fn settle(&mut self) -> [String; 2] {
        let mut sent = [Vec::new(), Vec::new()];
        while self.client.poll_frame(&mut sent[0]) {}
        while self.server.poll_frame(&mut sent[1]) {}
        assert_eq!(self.server.input(&sent[0]), Ok(sent[0].len()));
        assert_eq!(self.client.input(&sent[1]), Ok(sent[1].len()));
        sent.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// SMUX-1, SMUX-3, SMUX-12, SMUX-17
#[test]
fn writes_the_bytes_of_go() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/golden/vectors/smux.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let sessions = file["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    for recorded in sessions {
        let mut session = Session::new(recorded["version"].as_u64().unwrap() as u8);
        for step in recorded["steps"].as_array().unwrap() {
            session.run(step["what"].as_str().unwrap());
            let expected = step["bytes"].as_str().unwrap_or_default();
            let [client, server] = session.settle();
            let (who, other) = if step["who"] == "client" { (client, server) } else { (server, client) };
            assert_eq!((who.as_str(), other.as_str()), (expected, ""), "{}", step["what"]);
        }
        assert_eq!(session.client.stream_count(), 2);
    }
}
