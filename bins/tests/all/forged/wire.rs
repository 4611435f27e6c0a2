//! A wire that loses and reorders frames: whole Ethernet frames from one device to the other.

use super::net::Space;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a reordered frame is late; longer than the frames that follow it need.
const LATE: Duration = Duration::from_millis(8);

/// A running wire.
pub(super) struct Wire {
    stop: Arc<AtomicBool>,
    pub(super) lost: Arc<AtomicUsize>,
    pub(super) late: Arc<AtomicUsize>,
}

impl Wire {
    /// Joins the devices `a` and `b` of `space`. Of 1000 frames with TCP, `loss` are lost and `reorder` late.
    pub(super) fn start(space: &Space, a: &'static str, b: &'static str, loss: u64, reorder: u64) -> Self {
        let [one, other] = [a, b].map(|device| Arc::new(space.run(move || open(device))));
        let wire = Self { stop: Arc::default(), lost: Arc::default(), late: Arc::default() };
        for (from, to, seed) in [(&one, &other, 1), (&other, &one, 2)] {
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            let (stop, lost, late) = (Arc::clone(&wire.stop), Arc::clone(&wire.lost), Arc::clone(&wire.late));
            thread::spawn(move || carry(&from, &to, &stop, &lost, &late, [loss, reorder, seed]));
        }
        wire
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn carry(
    from: &OwnedFd,
    to: &OwnedFd,
    stop: &AtomicBool,
    lost: &AtomicUsize,
    late: &AtomicUsize,
    of: [u64; 3],
) {
    let [loss, reorder, mut state] = of;
    let mut held: Vec<(Instant, Vec<u8>)> = Vec::new();
    let mut buffer = [0; 4096];
    let send = |bytes: &[u8]| {
        // SAFETY: the pointer and the length describe a live slice. A full queue loses the frame.
        unsafe { libc::send(to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    };
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: the pointer and the length describe the buffer. Times out after a millisecond.
        let len = unsafe { libc::recv(from.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let now = Instant::now();
        held.retain(|(at, frame)| {
            *at > now || {
                send(frame);
                false
            }
        });
        let Ok(len) = usize::try_from(len) else { continue };
        let frame = &buffer[..len];
        let tcp = len > 34 && frame[12..14] == [8, 0] && frame[23] == 6;
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (state >> 33) % 1000 {
            drawn if tcp && drawn < loss => drop(lost.fetch_add(1, Ordering::Relaxed)),
            drawn if tcp && drawn < loss + reorder => {
                late.fetch_add(1, Ordering::Relaxed);
                held.push((now + LATE, frame.to_vec()));
            }
            _ => send(frame),
        }
    }
}

/// A socket for whole frames that arrive at a device.
pub(super) fn open(device: &str) -> OwnedFd {
    let name = CString::new(device).unwrap();
    // SAFETY: the call returns a new descriptor, which nothing else owns.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    };
    let set = |name, value: *const libc::c_void, len: usize| {
        // SAFETY: the caller passes a live value of that length.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, value, len as u32) };
        assert_eq!(result, 0);
    };
    let on: libc::c_int = 1;
    set(libc::PACKET_IGNORE_OUTGOING, (&raw const on).cast(), 4);
    let limit = Some(Duration::from_millis(1));
    socket2::SockRef::from(&socket).set_read_timeout(limit).unwrap();
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    // SAFETY: sockaddr_ll is plain data for which all zeros is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: the name is a terminated string.
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) }.cast_signed();
    assert_ne!(address.sll_ifindex, 0);
    let len = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: the pointer and the length describe the address.
    assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }, 0);
    // Frames of veth devices may lack checksums, which a wire does not repair.
    socket
}
