//! Options of both sides.

use super::links::Keys;
use super::{Dice, Weights, weights};
use serde_json::{Value, json};

/// The client's and the server's. Without probes a client whose server forgot it may wait for ever, as kcptun's do; so
/// they are only switched off where `probes_not` says that this cannot happen.
pub(super) fn sides(
    dice: &mut Dice,
    weights: &Weights,
    crypt: &'static str,
    (probes_not, crowded): (bool, bool),
) -> [Keys; 2] {
    let common = common(dice, &weights.settings, crypt, probes_not);
    let shape = shape(dice);
    [(); 2].map(|()| {
        let mut keys = common.clone();
        own(dice, weights, &mut keys);
        if crowded && keys.contains_key("no-announce") {
            crowd(dice, &mut keys);
        }
        fec(dice, &weights.settings, shape, &mut keys);
        keys
    })
}

/// Options that both sides must agree on, and options that only concern their own side.
fn common(dice: &mut Dice, weights: &weights::Settings, crypt: &'static str, probes_not: bool) -> Keys {
    let mut keys = Keys::new();
    let mut set = |key: &str, value: Value| keys.insert(key.into(), value);
    set("crypt", json!(crypt));
    if dice.percent(weights.nocomp) {
        set("nocomp", json!(true));
    }
    if dice.percent(weights.smux1) {
        set("smuxver", json!(1));
    }
    if dice.percent(weights.qpp) {
        set("qpp", json!(true));
        set("qpp-count", json!(dice.pick(&[1, 7, 61])));
    }
    if dice.percent(weights.no_probe) && probes_not {
        set("no-probe", json!(true));
    }
    if dice.percent(weights.no_migrate) {
        set("no-migrate", json!(true));
    }
    if dice.percent(weights.no_announce) {
        set("no-announce", json!(true));
    }
    keys
}

fn own(dice: &mut Dice, all: &Weights, keys: &mut Keys) {
    let weights = &all.settings;
    let mode = dice.weighted(&all.mode.entries());
    let mut set = |key: &str, value: Value| keys.insert(key.into(), value);
    set("mode", json!(mode));
    if mode == "manual" {
        set("nodelay", json!(dice.between(0, 1)));
        set("interval", json!(dice.spread(10, 500)));
        set("resend", json!(dice.between(0, 4)));
        set("nc", json!(dice.between(0, 1)));
    }
    if dice.percent(weights.mtu) {
        set("mtu", json!(dice.pick(&[120, 200, 576, 1_000, 1_200, 1_400, 1_472, 1_500])));
    }
    if dice.percent(weights.windows) {
        // Every small frame takes a segment: streams by the dozen need a window for them.
        set("sndwnd", json!(dice.spread(16, 1_024)));
        set("rcvwnd", json!(dice.spread(16, 1_024)));
    }
    if dice.percent(weights.buffers) {
        let smuxbuf = dice.spread(4_096, 4_194_304);
        set("smuxbuf", json!(smuxbuf));
        set("streambuf", json!(dice.spread(512, smuxbuf)));
    }
    if dice.percent(weights.framesize) {
        set("framesize", json!(dice.spread(64, 65_535)));
    }
    if dice.percent(weights.keepalive) {
        set("keepalive", json!(dice.between(1, 20)));
    }
    if dice.percent(weights.acknodelay) {
        set("acknodelay", json!(true));
    }
    if dice.percent(weights.ratelimit) {
        set("ratelimit", json!(dice.spread(10_000, 1_000_000)));
    }
    if dice.percent(weights.no_governor) && mode != "auto" {
        set("governor", json!("off"));
    }
    if dice.percent(weights.generation) {
        set("generation", json!("2021"));
    }
}

/// The multiplexer of both sides. A server that adopts the client's has a version and a compression of its own, which do not
/// matter.
pub(super) fn multiplexer(
    dice: &mut Dice,
    weights: &weights::Settings,
    [client, server]: [&mut Keys; 2],
    crowded: bool,
) {
    let mux = match (dice.percent(weights.smuxb), dice.percent(weights.yamux)) {
        (true, _) => "smuxb",
        (false, true) => "yamux",
        (false, false) => "smux",
    };
    if mux != "smux" {
        client.insert("mux".into(), json!(mux));
        let pauses_not = mux == "smuxb" && dice.percent(30);
        for side in [&mut *client, &mut *server] {
            side.insert("no-announce".into(), json!(true));
            if pauses_not {
                side.insert("streambuf-en".into(), json!(false));
            }
            if crowded {
                crowd(dice, side);
            }
        }
    }
    if dice.percent(weights.mux_given) {
        server.insert("mux".into(), json!(mux));
        return;
    }
    if dice.percent(50) {
        server.insert("smuxver".into(), json!(dice.between(1, 2)));
    }
    if dice.percent(50) {
        server.insert("nocomp".into(), json!(dice.percent(50)));
    }
}

/// Buffers that a reader who stops soon fills.
fn crowd(dice: &mut Dice, keys: &mut Keys) {
    let smuxbuf = dice.spread(4_096, 32_768);
    keys.insert("smuxbuf".into(), json!(smuxbuf));
    keys.insert("streambuf".into(), json!(smuxbuf));
    keys.insert("rcvwnd".into(), json!(dice.spread(16, 64)));
}

fn shape(dice: &mut Dice) -> [u64; 2] {
    [dice.spread(1, 20), dice.spread(1, 10)]
}

fn fec(dice: &mut Dice, weights: &weights::Settings, common: [u64; 2], keys: &mut Keys) {
    let mut set = |[data, parity]: [u64; 2]| {
        keys.insert("datashard".into(), json!(data));
        keys.insert("parityshard".into(), json!(parity));
    };
    if dice.percent(weights.no_fec) {
        set([0, 0]);
    } else if dice.percent(weights.shape) {
        set(if dice.percent(75) { common } else { shape(dice) });
    }
}

/// Both ends begin near the end of their numbers.
pub(super) fn wrap_after(dice: &mut Dice, weights: &weights::Settings) -> Value {
    let mut keys = Keys::new();
    if dice.percent(weights.segment_wrap) {
        keys.insert("segments".into(), json!(dice.spread(1, 100)));
    }
    if dice.percent(weights.shard_wrap) {
        keys.insert("shards".into(), json!(dice.spread(1, 100)));
    }
    keys.into()
}

/// Keeps the send window to some times what the link's queue holds beside the parity: with fixed windows, hundreds of segments that are
/// lost together and tried again together take minutes, with kcp-go as with karst.
pub(super) fn fit(side: &mut Keys, link: &Keys) {
    let number = |keys: &Keys, key: &str| keys.get(key).and_then(Value::as_u64);
    let room = [number(link, "queue_bytes"), number(link, "police_burst_bytes")].into_iter().flatten().min();
    let Some(room) = room else { return };
    let [data, parity] = ["datashard", "parityshard"].map(|key| number(side, key));
    let (data, parity) = (data.unwrap_or(10), parity.unwrap_or(3));
    let data_room = if data > 0 { room * data / (data + parity) } else { room };
    let packets = data_room / number(side, "mtu").unwrap_or(1_350);
    let window = number(side, "sndwnd").unwrap_or(1_024).min(8 * packets).max(16);
    side.insert("sndwnd".into(), json!(window));
}
