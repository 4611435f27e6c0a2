//! Options that change how datagrams leave a program.
use crate::common::{connect, echo, exchange, free_udp, sample, start_client, start_server, target};
use std::time::{Duration, Instant};

// CLI-43: 300 kB of noise less the burst of 96 kB, at 100 kB each second.
#[test]
fn a_rate_limit_bounds_a_transfer() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &["--nocomp", "--ds", "0"]);
    let (client, local) = start_client(udp, &["--nocomp", "--ds", "0", "--ratelimit", "100000"]);
    let data = sample(5, 300_000);
    let start = Instant::now();
    assert_eq!(exchange(connect(local), data.clone()), data);
    assert!(start.elapsed() > Duration::from_millis(1900), "{:?}", start.elapsed());
    drop((client, server));
}
