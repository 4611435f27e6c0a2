//! The permutation pad does not affect backpressure.
use crate::pair::{Pair, both};
use engine::Event;
use engine::mux::WriteError;
use std::time::Duration;

#[test]
fn a_full_stream_blocks_its_writer_and_wakes_it() {
    let mut pair = Pair::new(both(|settings| settings.qpp = true));
    let id = pair.client.open_stream(pair.now).unwrap();
    let refused = loop {
        match pair.client.write(pair.now, id, &[1; 4096]) {
            Ok(taken) => assert!(taken > 0, "a write took nothing and did not say why"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, WriteError::Blocked);
    let woken = |pair: &mut Pair| pair.client_events.contains(&Event::Writable(id));
    pair.run_until(Duration::from_secs(10), woken);
    assert!(pair.client_events.contains(&Event::Writable(id)));
}
