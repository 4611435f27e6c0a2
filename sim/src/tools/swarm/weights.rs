//! Frequencies of the swarm's choices.

use serde::{Deserialize, Serialize};

/// A choice and its weight.
pub(super) type Weighted = (&'static str, u32);

/// Why weights were refused: one line of file, place in the file, and reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{reason}", crate::scenario::prefix(.path))]
pub struct WeightsError {
    /// Name of the file as given.
    pub file: String,
    /// JSON path such as `links.loss`; `.` is the whole file.
    pub path: String,
    /// The reason, for the user.
    pub reason: String,
}

/// Frequencies of the swarm's choices: of `links`, `hosts`, `faults`, `adversary` and `settings` each the percentage of runs that have it,
/// of the others a weight among those of its group. Missing keys are as in [`Weights::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Impairments of the links until they are healed.
    pub links: Links,
    /// Properties of the machines.
    pub hosts: Hosts,
    /// Faults.
    pub faults: Faults,
    /// Attacks on the path.
    pub adversary: Adversary,
    /// Settings that are not at their default.
    pub settings: Settings,
    /// The cipher.
    pub crypt: Crypt,
    /// The mode, of each side.
    pub mode: Modes,
    /// The workloads, one to three.
    pub workloads: Workloads,
}

impl Weights {
    /// Reads the text of a file of weights; `file` only names it in errors.
    ///
    /// # Errors
    /// The first thing that is not JSON, unknown, or no percentage.
    pub fn parse(file: &str, text: &str) -> Result<Self, WeightsError> {
        let refused = |path: String, reason: String| WeightsError { file: file.into(), path, reason };
        let mut json = serde_json::Deserializer::from_str(text);
        let weights: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| refused(error.path().to_string(), error.inner().to_string()))?;
        json.end().map_err(|error| refused(".".into(), error.to_string()))?;
        let shares = [
            ("links", weights.links.entries()),
            ("hosts", weights.hosts.entries()),
            ("faults", weights.faults.entries()),
            ("adversary", weights.adversary.entries()),
            ("settings", weights.settings.entries()),
        ];
        for (group, entries) in shares {
            if let Some((key, _)) = entries.into_iter().find(|(_, percent)| *percent > 100) {
                return Err(refused(format!("{group}.{key}"), "more than 100 percent".into()));
            }
        }
        let choices = [
            ("crypt", weights.crypt.entries()),
            ("mode", weights.mode.entries()),
            ("workloads", weights.workloads.entries()),
        ];
        for (group, entries) in choices {
            if entries.iter().all(|(_, weight)| *weight == 0) {
                return Err(refused(group.into(), "one of them must weigh something".into()));
            }
            if let Some((key, _)) = entries.into_iter().find(|(_, weight)| *weight > 1_000_000) {
                return Err(refused(format!("{group}.{key}"), "more than 1000000".into()));
            }
        }
        Ok(weights)
    }
}

macro_rules! weights {
    ($(#[$doc:meta])* $name:ident { $($field:ident $key:literal $weight:literal $meaning:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(#[doc = $meaning] #[serde(rename = $key)] pub $field: u32,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $weight,)* }
            }
        }

        impl $name {
            pub(super) fn entries(&self) -> Vec<Weighted> {
                vec![$(($key, self.$field)),*]
            }
        }
    };
}

weights! {
    /// Impairments of the links until they are healed; each direction has its own values.
    Links {
        asymmetric "asymmetric" 30 "Rate, queue and delay differ between the directions."
        rate "rate" 85 "A rate, with a queue."
        codel "codel" 10 "CoDel in that queue."
        loss "loss" 60 "Random loss."
        bursts "bursts" 40 "That loss comes in runs."
        jitter "jitter" 40 "Jitter that keeps the order."
        wander "wander" 15 "Delay that drifts."
        reorder "reorder" 35 "Packets that are held back."
        duplicate "duplicate" 20 "Packets that arrive twice."
        corrupt "corrupt" 15 "Flipped bits, where the cipher notices."
        police "police" 8 "A policer."
        steps "steps" 15 "Another delay in the middle of the run."
        first_lost "first-lost" 15 "The first packets are lost."
    }
}

weights! {
    /// Properties of the machines; each side has its own values.
    Hosts {
        stalls "stalls" 12 "Times at which the process does not run."
        slack "slack" 25 "Timers that fire late."
        slow "slow" 12 "Processor time for every datagram."
        buffer "buffer" 12 "A small socket buffer."
        wrap "wrap" 25 "The millisecond clock wraps."
        nat_timeout "nat-timeout" 8 "A translator that forgets."
    }
}

weights! {
    /// Faults.
    Faults {
        server_restart "server_restart" 12 "The server restarts."
        client_restart "client_restart" 14 "The client restarts, in half of the cases at its old address."
        nat_rebinding "nat_rebinding" 18 "The client's port changes, once or twice."
        address_change "address_change" 8 "The client's address changes."
        blackout "blackout" 18 "Nothing gets through."
        one_way "one_way" 10 "One direction is dead."
        clock_step "clock_step" 10 "A clock jumps ahead."
        stream_reset "stream_reset" 14 "All streams of a side are reset."
        duplicate_storm "duplicate_storm" 10 "Many packets arrive twice."
        corruption "corruption" 8 "Many datagrams have flipped bits, where the cipher notices."
    }
}

weights! {
    /// Attacks on the path, until the sources stop.
    Adversary {
        delay "delay" 6 "Datagrams are held back."
        replay "replay" 10 "Copies of datagrams, from any source address."
        replay_first "replay-first" 6 "Many copies of the first datagrams of a session, from many addresses."
        replay_earlier "replay_earlier" 12 "Datagrams of an earlier session."
        race "race" 8 "Copies from an address of the adversary overtake the originals."
        reflect "reflect" 6 "Datagrams go back to their sender, where the cipher has a nonce."
        tamper "tamper" 5 "Copies with flipped bits, where the cipher notices."
        garbage "garbage" 5 "Random bytes, where the cipher notices."
        relay "relay" 0 "Copies of all datagrams from an address of the adversary, which relays what the server sends there."
    }
}

weights! {
    /// Settings that are not at their default; those that both ends must agree on are equal.
    Settings {
        mtu "mtu" 40 "The mtu, of each side."
        windows "windows" 60 "Both windows, of each side."
        no_fec "no-fec" 30 "No parity, of each side."
        shape "shape" 50 "The shape of parity groups; in three of four cases the same on both sides."
        nocomp "nocomp" 50 "No compression."
        smux1 "smux1" 40 "Version 1 of smux."
        smuxb "smuxb" 12 "The multiplexer of kcptunB, without karst's announcement."
        yamux "yamux" 12 "The multiplexer of 2016, in the same way."
        mux_given "mux-given" 40 "The server is told multiplexer, version and compression; otherwise it adopts the client's."
        buffers "buffers" 40 "smuxbuf and streambuf."
        framesize "framesize" 25 "The largest frame, of each side."
        keepalive "keepalive" 25 "The keepalive interval, of each side."
        acknodelay "acknodelay" 25 "Acknowledgements are not delayed, of each side."
        qpp "qpp" 10 "Permutation pads."
        ratelimit "ratelimit" 12 "A rate limit, of each side."
        no_probe "no-probe" 15 "The client does not probe."
        no_migrate "no-migrate" 15 "The server does not follow."
        no_announce "no-announce" 20 "Neither side steers single streams."
        no_governor "no-governor" 30 "kcp-go's own sender, of each side that is not in the mode auto."
        generation "generation" 20 "The generation of 2021, of each side."
        segment_wrap "segment-wrap" 10 "The numbers of segments wrap."
        shard_wrap "shard-wrap" 15 "The numbers of shards wrap."
    }
}

weights! {
    /// The cipher.
    Crypt {
        aes "aes" 2 "AES-256."
        aes_128 "aes-128" 6 "AES-128."
        aes_192 "aes-192" 1 "AES-192."
        gcm "aes-128-gcm" 4 "AES-128-GCM."
        salsa20 "salsa20" 3 "Salsa20."
        blowfish "blowfish" 1 "Blowfish."
        twofish "twofish" 1 "Twofish."
        cast5 "cast5" 1 "CAST5."
        triple_des "3des" 1 "Triple DES."
        tea "tea" 1 "TEA."
        xtea "xtea" 1 "XTEA."
        xor "xor" 4 "The xor cipher."
        sm4 "sm4" 1 "SM4."
        none "none" 6 "No cipher, but a checksum."
        null "null" 3 "Neither cipher nor checksum."
    }
}

weights! {
    /// The mode, of each side.
    Modes {
        normal "normal" 1 "40 ms."
        fast "fast" 2 "30 ms."
        fast2 "fast2" 2 "20 ms."
        fast3 "fast3" 3 "10 ms."
        manual "manual" 4 "Any of the four numbers, congestion control among them."
        auto "auto" 8 "A controller sends what the path carries."
    }
}

weights! {
    /// The workloads, one to three.
    Workloads {
        bulk "bulk" 8 "A transfer."
        echo "echo" 4 "Messages that are sent back."
        request_response "request_response" 3 "Requests on one stream."
        short_streams "short_streams" 3 "A stream for every request."
        page "page" 3 "Many objects at once."
        game_ticks "game_ticks" 2 "Small messages both ways."
        typing "typing" 2 "Keystrokes."
        stalled_reader "stalled_reader" 3 "Downloads, one of whose readers stops."
        half_close "half_close" 4 "A late reply to a request that has ended."
        storm "storm" 4 "Streams that are opened and closed."
        idle_then_burst "idle_then_burst" 2 "Bursts after pauses."
    }
}
