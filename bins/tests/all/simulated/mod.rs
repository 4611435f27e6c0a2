//! The programs' own drivers over the simulator's links: turmoil-net's sockets, simulated clocks, no system calls.

mod apps;
mod network;
mod world;

use apps::{echo, exchange, ping, sample, talk, target};
use sim::plan::{LinkPlan, LossPlan, QueuePlan};
use sim::rng::{Seed, below};
use sim::{Direction, Side};
use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use world::World;

/// 20 Mbit/s, 25 ms, and one packet in fifty lost, each way.
fn lossy() -> LinkPlan {
    LinkPlan {
        loss: LossPlan::Bernoulli { ppm: 20_000 }.into(),
        queue: Some(
            QueuePlan { bits_per_s: 20_000_000, bytes_max: 256_000, packets_max: 1000, codel: None }.into(),
        ),
        delay_us: 25_000.into(),
        ..LinkPlan::default()
    }
}

/// Both programs and an echo server over [`lossy`]; the client has those options.
fn echo_world(seed: u64, words: &[&str]) -> World {
    let mut world = World::new(seed, &lossy());
    world.start(Side::Server, &[]);
    world.start(Side::Client, words);
    world.run_ms(1);
    world.spawn(target(echo));
    world
}

/// Asserts that neither program holds a connection.
fn nothing_is_left(world: &mut World, limit_ms: u64) {
    world.until(limit_ms, |world| world.connections(Side::Client) + world.connections(Side::Server) == 0);
}

#[test]
fn a_stream_is_echoed_over_a_lossy_link() {
    let mut world = echo_world(1, &[]);
    let data = sample(1, 300_000);
    let app = world.spawn(exchange(data.clone()));
    assert!(world.wait(&app, 10_000) == data);
    assert!(world.counters(Direction::Up).dropped_loss > 0);
    assert!(world.counters(Direction::Down).dropped_loss > 0);
    nothing_is_left(&mut world, 1_000);
}

#[test]
fn the_same_seed_gives_the_same_datagrams_at_the_same_times() {
    let run = |seed: u64| {
        let mut world = echo_world(seed, &["--conn", "2"]);
        let apps: Vec<_> = (0..10).map(|n| world.spawn(exchange(sample(n, 50_000)))).collect();
        world.run_ms(300);
        world.kill(Side::Server);
        world.run_ms(300);
        world.start(Side::Server, &[]);
        world.run_ms(60_000);
        let got: usize = apps.iter().filter(|app| app.is_done()).map(|app| world.wait(app, 0).len()).sum();
        (world.hash(), got, world.counters(Direction::Up), world.log(Side::Client).to_vec())
    };
    let first = run(2);
    assert_eq!(first, run(2));
    assert_ne!(first.0, run(3).0, "the hash sees nothing");
}

#[test]
fn a_target_that_does_not_read_stops_the_application() {
    let mut world = World::new(4, &lossy());
    world.start_both(&["--smuxver", "2"]);
    let gate = Rc::new(Cell::new(false));
    let copy = Rc::clone(&gate);
    world.spawn(target(move |stream| apps::gated_echo(stream, Rc::clone(&copy))));
    let data = sample(4, 12_000_000);
    let taken = Rc::new(Cell::new(0));
    let app = world.spawn(apps::counted_exchange(data.clone(), Rc::clone(&taken)));
    world.run_ms(10_000);
    let stopped_at = taken.get();
    // The stream's window of 2 MiB, the buffers of four sockets, and a margin for compression.
    assert!((100_000..6_000_000).contains(&stopped_at), "{stopped_at}");
    world.run_ms(10_000);
    assert_eq!(taken.get(), stopped_at, "more was accepted without a reader");
    gate.set(true);
    assert!(world.wait(&app, 60_000) == data);
}

#[test]
fn an_application_that_exits_ends_the_connection_to_the_target() {
    let mut world = World::new(5, &lossy());
    world.start_both(&[]);
    let served = Rc::new(Cell::new(0));
    let copy = Rc::clone(&served);
    world.spawn(target(move |stream| {
        let served = Rc::clone(&copy);
        async move {
            let result = echo(stream).await;
            served.set(served.get() + 1);
            result
        }
    }));
    for ended in 1..=3 {
        // Dropped without unread data, as by a program that exits.
        let app = world.spawn(async {
            let stream = apps::connect().await;
            stream.try_write(b"bye").unwrap();
        });
        world.wait(&app, 1_000);
        world.until(2_000, |_| served.get() == ended);
    }
    nothing_is_left(&mut world, 40_000);
}

/// A server that was down for `away_ms`; returns the number of new connections until one was echoed.
fn connections_after_restart(away_ms: u64) -> u32 {
    let mut world = echo_world(6, &[]);
    let pings = Rc::new(Cell::new(0));
    let old = world.spawn(ping(Duration::from_millis(100), Rc::clone(&pings), Rc::default()));
    world.run_ms(3_000);
    assert!(pings.get() > 5, "{}", pings.get());
    world.kill(Side::Server);
    world.run_ms(away_ms);
    world.start(Side::Server, &[]);
    let data = sample(6, 100_000);
    for tries in 1..=5 {
        let app = world.spawn(exchange(data.clone()));
        if world.wait(&app, 3_000) == data {
            // The old connection is not left hanging.
            world.wait(&old, 60_000).unwrap_err();
            assert!(world.has_logged(Side::Client, "the peer lost its state"));
            return tries;
        }
    }
    panic!("{:#?}", world.log(Side::Client));
}

#[test]
fn a_restarted_server_is_found_again() {
    // Until the client detects it, the first connection uses the old session; it is reset within 3 seconds.
    assert_eq!(connections_after_restart(500), 2);
    // A session that was silent for two seconds is not used for new connections.
    assert_eq!(connections_after_restart(5_000), 1);
}

#[test]
fn a_restarted_client_is_served_again() {
    let mut world = echo_world(7, &[]);
    let old = world.spawn(ping(Duration::from_millis(100), Rc::default(), Rc::default()));
    world.run_ms(2_000);
    world.kill(Side::Client);
    assert!(world.wait(&old, 100).is_err());
    // The shim lacks SO_REUSEADDR: the old connections must have closed.
    world.run_ms(10);
    world.start(Side::Client, &[]);
    world.run_ms(1);
    let data = sample(7, 100_000);
    let new = world.spawn(exchange(data.clone()));
    assert!(world.wait(&new, 5_000) == data);
    // The server closes the session of the dead client and its connection to the target.
    nothing_is_left(&mut world, 90_000);
}

#[test]
fn a_reply_that_starts_at_the_end_of_the_request_arrives_completely() {
    let mut world = World::new(8, &lossy());
    world.start_both(&[]);
    world.spawn(target(apps::echo_at_end));
    let data = sample(8, 1_000_000);
    let app = world.spawn(exchange(data.clone()));
    assert!(world.wait(&app, 20_000) == data);
    nothing_is_left(&mut world, 2_000);
}

#[test]
fn a_session_follows_its_client_to_other_addresses() {
    let mut world = echo_world(9, &[]);
    let data = sample(9, 4_000_000);
    let app = world.spawn(exchange(data.clone()));
    for _ in 0..3 {
        world.run_ms(400);
        assert!(!app.is_done());
        world.rebind();
    }
    assert!(world.wait(&app, 30_000) == data);
    assert_eq!(world.client_addresses(), 4);
    let sessions = world.log(Side::Server).iter().filter(|line| line.starts_with("remote address")).count();
    assert_eq!(sessions, 1, "{:#?}", world.log(Side::Server));
}

#[test]
fn two_hundred_streams_do_not_mix() {
    let mut world = echo_world(10, &["--conn", "2", "--quiet"]);
    let data = |n: u64| sample(n, 5_000 + 100 * n as usize);
    let apps: Vec<_> = (0..200).map(|n| world.spawn(exchange(data(n)))).collect();
    for (n, app) in (0..).zip(&apps) {
        assert!(world.wait(app, 30_000) == data(n), "stream {n}");
    }
    nothing_is_left(&mut world, 2_000);
}

#[test]
fn a_slow_target_does_not_slow_the_others() {
    let mut world = World::new(11, &lossy());
    world.start_both(&["--smuxver", "2"]);
    world.spawn(target(apps::slow_or_quick_echo));
    let mut slow_data = sample(11, 2_000_000);
    slow_data[0] = b's';
    let slow = world.spawn(exchange(slow_data.clone()));
    world.run_ms(3_000);
    for n in 0..5 {
        let mut data = sample(n, 30_000);
        data[0] = b'q';
        let quick = world.spawn(exchange(data.clone()));
        assert!(world.wait(&quick, 1_500) == data, "stream {n}");
    }
    assert!(!slow.is_done());
    assert!(world.wait(&slow, 60_000) == slow_data);
}

#[test]
fn a_refused_target_ends_the_connection_at_once() {
    let mut world = World::new(12, &lossy());
    world.start_both(&[]);
    let app = world.spawn(talk(b"anybody there?"));
    let (got, _) = world.wait(&app, 1_000);
    assert!(got.is_empty());
    assert!(world.has_logged(Side::Server, "dial tcp 192.168.9.1:80: connect: connection refused"));
    nothing_is_left(&mut world, 2_000);
    // The session remains for a target that is available later.
    world.spawn(target(echo));
    let app = world.spawn(exchange(b"you are back".to_vec()));
    assert_eq!(world.wait(&app, 1_000), b"you are back");
}

#[test]
fn a_peer_that_died_is_given_up_and_found_when_it_is_back() {
    let mut world = echo_world(13, &[]);
    let app = world.spawn(ping(Duration::from_millis(100), Rc::default(), Rc::default()));
    world.run_ms(2_000);
    world.set_blackout(true);
    let gone = world.until(90_000, |_| app.is_done());
    assert_eq!(world.wait(&app, 0).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // At most two keepalive timeouts of 30 s; the first starts at the next multiple of 2 s.
    assert!((10_000..62_000).contains(&gone), "{gone} ms");
    nothing_is_left(&mut world, 90_000);
    world.set_blackout(false);
    let app = world.spawn(exchange(b"again".to_vec()));
    assert_eq!(world.wait(&app, 5_000), b"again");
}

#[test]
fn expired_sessions_keep_their_streams_and_get_no_new_ones() {
    let mut world = echo_world(14, &["--autoexpire", "5", "--scavengettl", "3"]);
    let (pings, end) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let long = world.spawn(ping(Duration::from_millis(500), Rc::clone(&pings), Rc::clone(&end)));
    for _ in 0..4 {
        world.run_ms(6_000);
        let app = world.spawn(exchange(b"short".to_vec()));
        assert_eq!(world.wait(&app, 2_000), b"short");
    }
    // One for each of the four and the first one, which still has its stream.
    assert_eq!(world.client_addresses(), 5);
    assert!(!long.is_done() && pings.get() > 30, "{}", pings.get());
    end.set(true);
    assert!(world.wait(&long, 5_000).is_ok());
    world.until(10_000, |world| {
        world.log(Side::Client).iter().filter(|line| line.starts_with("scavenger")).count() == 4
    });
}

#[test]
fn a_stopping_program_sends_accepted_data() {
    for side in [Side::Server, Side::Client] {
        let mut world = echo_world(15, &[]);
        let idle = world.spawn(ping(Duration::from_millis(50), Rc::default(), Rc::default()));
        world.run_ms(1_000);
        world.terminate(side);
        let ended = world.until(1_100, |world| !world.is_running(side));
        assert!(ended > 0);
        world.wait(&idle, 1_000).unwrap_err();
        nothing_is_left(&mut world, 90_000);
    }
}

#[test]
fn data_accepted_before_the_stop_arrives() {
    let mut world = World::new(16, &lossy());
    // kcptun's sender: all of it has left the socket of the application when the program is stopped.
    world.start_both(&["--governor", "off"]);
    let got = Rc::new(Cell::new(0));
    let copy = Rc::clone(&got);
    world.spawn(target(move |stream| apps::count(stream, Rc::clone(&copy))));
    let app = world.spawn(apps::write_and_keep(sample(16, 200_000)));
    // All of it has reached the client, but not the server.
    let stream = world.wait(&app, 1_000);
    assert!(got.get() < 200_000, "too late to see anything");
    world.terminate(Side::Client);
    world.until(1_100, |world| !world.is_running(Side::Client));
    world.until(1_000, |_| got.get() == 200_000);
    drop(stream);
}

/// Random faults under random streams, then none: no byte is wrong, no cut stream appears complete, every stream ends, and the
/// tunnel works again. How many streams arrived whole, and how many there were.
fn storm(seed: u64) -> (usize, usize) {
    let mut dice = Seed(seed).stream("storm");
    let mut world = echo_world(seed, [&["--conn", "1"], &["--conn", "3"]][below(&mut dice, 2) as usize]);
    let mut apps = Vec::new();
    for _ in 0..12 {
        for _ in 0..below(&mut dice, 4) {
            let data = sample(dice.next_u64(), 1 + below(&mut dice, 400_000) as usize);
            apps.push((world.spawn(apps::judged_exchange(data.clone())), data));
        }
        world.run_ms(below(&mut dice, 2_000));
        match below(&mut dice, 5) {
            0 => world.rebind(),
            1 => {
                world.kill(Side::Server);
                world.run_ms(below(&mut dice, 3_000));
                world.start(Side::Server, &[]);
            }
            2 => {
                world.set_blackout(true);
                world.run_ms(below(&mut dice, 8_000));
                world.set_blackout(false);
            }
            3 => {
                world.terminate(Side::Server);
                world.until(6_000, |world| !world.is_running(Side::Server));
                world.start(Side::Server, &[]);
            }
            _ => {}
        }
    }
    let mut whole = 0;
    for (app, data) in &apps {
        let (got, in_order) = world.wait(app, 120_000);
        assert!(data.starts_with(&got), "seed {seed}: wrong bytes");
        assert!(
            !in_order || got == *data,
            "seed {seed}: {} of {} bytes and then an end",
            got.len(),
            data.len()
        );
        whole += usize::from(in_order);
    }
    nothing_is_left(&mut world, 120_000);
    // Each of the client's sessions may still have to learn that its server is another one.
    let works = (0..4).any(|_| {
        let app = world.spawn(exchange(b"all over".to_vec()));
        world.wait(&app, 15_000) == b"all over"
    });
    assert!(works, "seed {seed}");
    (whole, apps.len())
}

#[test]
fn faults_under_load_leave_no_errors_or_leaks() {
    let runs: Vec<_> = (0..8).map(storm).collect();
    let (whole, all) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    assert!(0 < whole && whole < all, "the faults hit no stream, or all: {whole} of {all}");
}

#[test]
fn an_old_session_that_ended_by_itself_was_not_closed_by_the_scavenger() {
    let mut world = echo_world(17, &[]);
    let app = world.spawn(ping(Duration::from_millis(100), Rc::default(), Rc::default()));
    world.run_ms(2_000);
    world.set_blackout(true);
    world.run_ms(3_000);
    // Uses a new session, so that the silent one expires.
    world.spawn(exchange(b"new".to_vec()));
    world.wait(&app, 90_000).unwrap_err();
    world.run_ms(5_000);
    assert!(!world.has_logged(Side::Client, "scavenger"), "{:#?}", world.log(Side::Client));
}

/// What is logged about a path with that mtu, in bytes of IP packets, and that loss, on which 200,000 bytes go both ways.
fn named_on_path(mtu_bytes: u32, loss_ppm: u32, words: &[&str]) -> [bool; 2] {
    let plan = LinkPlan {
        mtu_bytes: Some(mtu_bytes.into()),
        loss: LossPlan::Bernoulli { ppm: loss_ppm }.into(),
        ..lossy()
    };
    let mut world = World::new(11, &plan);
    world.start_both(words);
    world.run_ms(1);
    world.spawn(target(echo));
    world.spawn(exchange(sample(11, 200_000)));
    world.run_ms(30_000);
    [Side::Client, Side::Server].map(|side| {
        world.has_logged(side, "datagrams of 1350 bytes do not arrive, smaller ones do: try --mtu 1200 here")
    })
}

// KCP-40: the server gets nothing to echo, so it has no large datagrams to lose.
#[test]
fn a_path_that_loses_large_datagrams_is_named() {
    for words in [&["--nocomp"][..], &["--nocomp", "--mode", "auto"], &["--nocomp", "--mode", "normal"]] {
        assert_eq!(named_on_path(1300, 20_000, words), [true, false], "{words:?}");
    }
}

// KCP-40
#[test]
fn a_path_that_loses_any_datagrams_is_not_named() {
    for loss_ppm in [20_000, 300_000, 600_000] {
        assert_eq!(named_on_path(1500, loss_ppm, &["--nocomp"]), [false; 2], "{loss_ppm} ppm");
    }
}
