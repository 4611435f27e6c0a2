//! What a check found: lines for a reader, and an exit status for scripts (CLI-92).

use crate::flags::Side;
use std::io::{self, Write};
use std::process::ExitCode;

/// What does not work. The exit status of a check is that of the first one found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The name of the server or target has no address.
    Name,
    /// Nothing listens on the server's port.
    Port,
    /// Nothing comes back: a firewall, a host that is down, or no route.
    Silence,
    /// The keys differ.
    Key,
    /// The ciphers differ.
    Cipher,
    /// One side compresses.
    Compression,
    /// The multiplexers differ.
    Mux,
    /// The target does not accept connections.
    Target,
    /// The path does not deliver datagrams of the configured size.
    Mtu,
    /// The path loses more than 5 % in one direction.
    Loss,
    /// The server cannot listen on its address.
    Listen,
    /// A limit of the system is too low.
    Limit,
    /// The permutation pads differ.
    Pads,
}

impl Fault {
    /// Every fault.
    pub const ALL: &[Self] = &[
        Self::Name,
        Self::Port,
        Self::Silence,
        Self::Key,
        Self::Cipher,
        Self::Compression,
        Self::Mux,
        Self::Target,
        Self::Mtu,
        Self::Loss,
        Self::Listen,
        Self::Limit,
        Self::Pads,
    ];

    /// The exit status: 3 and above, since 1 and 2 are those of a program that does not start.
    pub const fn code(self) -> u8 {
        match self {
            Self::Name => 3,
            Self::Port => 4,
            Self::Silence => 5,
            Self::Key => 6,
            Self::Cipher => 7,
            Self::Compression => 8,
            Self::Mux => 9,
            Self::Target => 10,
            Self::Mtu => 11,
            Self::Loss => 12,
            Self::Listen => 13,
            Self::Limit => 14,
            Self::Pads => 15,
        }
    }

    /// The word that begins its line.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Port => "port",
            Self::Silence => "answer",
            Self::Key => "key",
            Self::Cipher => "cipher",
            Self::Compression => "compression",
            Self::Mux => "mux",
            Self::Target => "target",
            Self::Mtu => "mtu",
            Self::Loss => "loss",
            Self::Listen => "listen",
            Self::Limit => "limits",
            Self::Pads => "qpp",
        }
    }

    /// What it means, for the manual.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Name => "A name does not resolve.",
            Self::Port => "The server's port is closed.",
            Self::Silence => "Nothing comes back from the server.",
            Self::Key => "--key differs.",
            Self::Cipher => "--crypt differs.",
            Self::Compression => "--nocomp differs.",
            Self::Mux => "--smuxver differs.",
            Self::Target => "The target does not accept connections.",
            Self::Mtu => "The path loses datagrams of the size --mtu.",
            Self::Loss => "The tunnel works, but the path loses more than 5 %.",
            Self::Listen => "The server's address cannot be listened on.",
            Self::Limit => "A limit of the system is too low.",
            Self::Pads => "--QPP or --QPPCount differs.",
        }
    }
}

/// Prints findings as they are made.
pub(super) struct Report {
    side: Side,
    first: Option<Fault>,
}

impl Report {
    pub(super) const fn new(side: Side) -> Self {
        Self { side, first: None }
    }

    /// Something works.
    pub(super) fn ok(&self, topic: &str, text: &str) {
        line("ok", topic, text);
    }

    /// Something to know that stops nothing.
    pub(super) fn note(&self, topic: &str, text: &str) {
        line("note", topic, text);
    }

    /// Something does not work, and what to do about it.
    pub(super) fn fault(&mut self, fault: Fault, text: &str, next: &str) {
        line("FAULT", fault.topic(), text);
        line("", "  do this", next);
        self.first.get_or_insert(fault);
    }

    pub(super) fn finish(self) -> ExitCode {
        let Some(fault) = self.first else {
            let works = match self.side {
                Side::Client => "The tunnel works.",
                Side::Server => "A server can run with these options.",
            };
            print(&format!("{works}\n"));
            return ExitCode::SUCCESS;
        };
        print(&format!("Exit status {}: {}\n", fault.code(), fault.meaning()));
        ExitCode::from(fault.code())
    }
}

fn line(mark: &str, topic: &str, text: &str) {
    print(&format!("{mark:<5} {topic:<12} {text}\n"));
}

fn print(text: &str) {
    // A reader that left changes nothing: the exit status is still of use.
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
