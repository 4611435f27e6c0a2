//! System calls of namespaces. No unsafe function is exported.

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;

/// Attaches a file to a TUN device (linux/if_tun.h).
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;

/// Whether this process may make network namespaces and devices.
pub(super) fn is_root() -> bool {
    // SAFETY: this call cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}

/// Moves the calling thread, and programs that it starts, to a new network namespace, which exists as long as they do.
pub(super) fn leave_network() -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a TUN device in the calling thread's namespace; it exists as long as the file. Reads do not block.
pub(super) fn open_tun(name: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which is a local.
    match unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}
