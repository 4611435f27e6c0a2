//! The hosts of the two sides: timers, sockets, clocks, and the NAT in front of the client.

mod alarm;
mod machine;
mod nat;

pub use alarm::Alarm;
pub use machine::{Arrival, Machine};
pub use nat::{Nat, Place};
