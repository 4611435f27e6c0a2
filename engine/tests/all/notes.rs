//! Notes agree with the counters and with the drops of the path, and do not affect the tunnel.
use crate::pair::{Pair, both, read_all};
use engine::{Cause, Note, Settings, Tunnel};
use std::collections::BTreeMap;
use std::time::Duration;

fn notes(tunnel: &mut Tunnel) -> Vec<Note> {
    std::iter::from_fn(|| tunnel.poll_note()).collect()
}

/// Uploads `bytes` over a path that drops some of the client's datagrams; returns the notes of both sides.
fn upload(keep: bool, fec: bool, bytes: usize, drop: fn(u64) -> bool) -> (Pair, Vec<Note>, Vec<Note>) {
    let mut pair = Pair::new(both(|settings| {
        settings.nocomp = true;
        (settings.datashard, settings.parityshard) = if fec { (10, 3) } else { (0, 0) };
    }));
    let mut to_server = 0;
    pair.drop = Box::new(move |up, _| {
        to_server += u64::from(up);
        up && drop(to_server)
    });
    if keep {
        pair.client.keep_notes();
        pair.server.keep_notes();
    }
    let stream = pair.client.open_stream(pair.now).unwrap();
    let (mut left, mut of_client, mut of_server, mut got) = (bytes, Vec::new(), Vec::new(), Vec::new());
    pair.run_until(Duration::from_secs(20), |pair| {
        of_client.extend(notes(&mut pair.client));
        if pair.session.is_some() {
            let now = pair.now;
            of_server.extend(notes(pair.accepted()));
            read_all(pair.accepted(), now, stream, &mut got);
        }
        left -= pair.client.write(pair.now, stream, &vec![7; left.min(5_000)]).unwrap_or(0);
        got.len() == bytes && pair.client.drained()
    });
    (pair, of_client, of_server)
}

#[test]
fn every_retransmission_has_its_reason() {
    let (pair, notes, _) = upload(true, false, 400_000, |n| n > 10 && n.is_multiple_of(7));
    let resend = Settings::client().tunnel_config().unwrap().tuning.resend;
    let mut passed: BTreeMap<u32, u32> = BTreeMap::new();
    let (mut counts, mut xmits) = ([0; 4], BTreeMap::<u32, u32>::new());
    for note in &notes {
        match *note {
            Note::Passed { sn, by } => {
                assert!(by > sn);
                *passed.entry(sn).or_default() += 1;
            }
            Note::Sent { sn, cause, xmit, rto_ms, waited_ms } => {
                let before = xmits.entry(sn).or_default();
                *before += 1;
                assert_eq!(xmit, *before);
                assert!(rto_ms >= 30);
                let acks = passed.remove(&sn);
                match cause {
                    None => assert_eq!((acks, xmit), (None, 1)),
                    Some(Cause::Fast) => assert!(acks >= Some(resend)),
                    Some(Cause::Early) => assert!(acks >= Some(1) && acks < Some(resend)),
                    Some(Cause::Timeout) => assert!(waited_ms >= 30 && waited_ms < rto_ms),
                    cause => panic!("{cause:?} without a controller"),
                }
                assert_eq!(waited_ms > 0, cause == Some(Cause::Timeout));
                counts[cause.map_or(0, |cause| 1 + cause as usize)] += 1;
            }
            _ => {}
        }
    }
    let stats = pair.client.stats();
    assert_eq!(counts[1..], [stats.fast_retrans_segs, stats.early_retrans_segs, stats.lost_segs]);
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    let acked = notes.iter().filter(|note| matches!(note, Note::Acked { .. })).count();
    assert_eq!(acked as u64, counts[0], "every segment is acknowledged once");
    assert!(notes.iter().any(|note| matches!(note, Note::Rtt { ms: 20..=200 })));
}

#[test]
fn a_rebuilt_segment_names_the_lost_shard_and_its_parity() {
    let (_, _, notes) = upload(true, true, 100_000, |n| n == 86 || n == 87);
    let position = |wanted: &dyn Fn(&Note) -> bool| notes.iter().position(wanted);
    let rebuilt: Vec<u32> = notes
        .iter()
        .filter_map(|n| if let Note::Rebuilt { seqid } = n { Some(*seqid) } else { None })
        .collect();
    let parity: Vec<u32> = notes
        .iter()
        .filter_map(|n| if let Note::UsedParity { seqid } = n { Some(*seqid) } else { None })
        .collect();
    assert_eq!((rebuilt.len(), parity.len()), (2, 2));
    assert!(parity.iter().all(|seqid| seqid % 13 >= 10) && rebuilt.iter().all(|seqid| seqid % 13 < 10));
    assert_eq!(rebuilt[0] / 13, parity[0] / 13);
    let rebuilt_at = position(&|note| matches!(note, Note::Rebuilt { .. })).unwrap();
    assert!(matches!(notes[rebuilt_at - 1], Note::UsedParity { .. }));
    let recovered = |note: &Note| matches!(note, Note::Received { new: true, rebuilt: true, .. });
    assert!(position(&recovered).unwrap() > rebuilt_at);
}

#[test]
fn the_receiver_notes_every_segment_once_as_new_and_once_in_order() {
    let (_, sent, received) = upload(true, false, 200_000, |n| n > 10 && n.is_multiple_of(9));
    let first = sent.iter().filter(|note| matches!(note, Note::Sent { cause: None, .. })).count();
    let new = received.iter().filter(|note| matches!(note, Note::Received { new: true, .. })).count();
    let in_order: Vec<u32> =
        received.iter().filter_map(|n| if let Note::InOrder { sn } = n { Some(*sn) } else { None }).collect();
    assert_eq!((new, in_order.len()), (first, first));
    assert!(in_order.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn notes_are_optional_and_do_not_affect_the_tunnel() {
    let drop = |n: u64| n > 10 && n.is_multiple_of(7);
    let (kept, notes, _) = upload(true, true, 300_000, drop);
    let (not_kept, none, _) = upload(false, true, 300_000, drop);
    assert!(none.is_empty() && !notes.is_empty());
    assert_eq!(kept.client.stats(), not_kept.client.stats());
    assert_eq!((kept.sent, kept.now), (not_kept.sent, not_kept.now));
}
