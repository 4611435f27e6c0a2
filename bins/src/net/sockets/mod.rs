//! The sockets that the drivers use: the system's, or those of a simulated network under the feature `turmoil`.
//!
//! Both modules offer the same names, so nothing else in the programs knows which ones it has.

#[cfg(feature = "turmoil")]
mod simulated;
#[cfg(not(feature = "turmoil"))]
mod system;

#[cfg(feature = "turmoil")]
pub use simulated::{TcpListener, TcpStream, UdpSocket, listen, reset_on_close, shutdown_write, take_resets};
#[cfg(not(feature = "turmoil"))]
pub use system::{TcpListener, TcpStream, UdpSocket, listen, reset_on_close, shutdown_write};
