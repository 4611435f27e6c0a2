//! The computers of the two sides: their timers, sockets, clocks, and the address translator before the client.

mod alarm;
mod machine;
mod nat;

pub use alarm::Alarm;
pub use machine::{Arrival, Machine};
pub use nat::{Nat, Place};
