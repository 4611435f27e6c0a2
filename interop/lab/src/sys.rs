//! System calls that std lacks. No unsafe function is exported.

use std::io;
use std::mem::zeroed;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Interval at which sleeping code checks for signals.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// A set of files that a thread waits for.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    files: Vec<libc::pollfd>,
}

impl Waiter {
    /// Adds a file; its index is the number of files before it.
    pub(crate) fn add(&mut self, file: RawFd) {
        self.files.push(libc::pollfd { fd: file, events: libc::POLLIN, revents: 0 });
    }

    /// Adds a file with the events to wait for: readable, writable.
    pub(crate) fn watch(&mut self, file: RawFd, [read, write]: [bool; 2]) {
        let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
        self.files.push(libc::pollfd { fd: file, events, revents: 0 });
    }

    /// Number of files in the set.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Replaces the file at that index.
    pub(crate) fn replace(&mut self, number: usize, file: RawFd) {
        self.files[number] = libc::pollfd { fd: file, events: libc::POLLIN, revents: 0 };
    }

    /// Waits until a file is ready, a signal arrives, or `limit` has passed.
    pub(crate) fn wait(&mut self, limit: Duration) {
        let limit = libc::timespec {
            tv_sec: limit.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(limit.subsec_nanos()),
        };
        let count = self.files.len() as libc::nfds_t;
        // SAFETY: the list has `count` entries and the time is a local; both outlive the call.
        let ready = unsafe { libc::ppoll(self.files.as_mut_ptr(), count, &raw const limit, ptr::null()) };
        if ready <= 0 {
            self.files.iter_mut().for_each(|file| file.revents = 0);
        }
    }

    /// Whether the file at that index was ready after the last wait.
    pub(crate) fn is_ready(&self, number: usize) -> bool {
        self.files.get(number).is_some_and(|file| file.revents != 0)
    }
}

/// Reduces the timer slack of this thread from 50 us, and raises its priority, because a busy machine would wake it milliseconds late.
/// Has no effect without permission.
pub(crate) fn wake_promptly() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the option takes one number and the other call reads a local; both affect the calling thread only.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong);
        libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const priority);
    }
}

/// Processor time the calling thread has used.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

static STOP: AtomicBool = AtomicBool::new(false);
static REPORT: AtomicBool = AtomicBool::new(false);

extern "C" fn note_signal(signal: libc::c_int) {
    let flag = if signal == libc::SIGUSR1 { &REPORT } else { &STOP };
    flag.store(true, Ordering::Relaxed);
}

/// Makes SIGINT, SIGTERM and SIGHUP set the flag of [`is_stopping`], and SIGUSR1 that of [`takes_report`].
pub fn watch_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1] {
        // SAFETY: all zeros is a valid sigaction; the handler does nothing but store to an atomic, which is allowed in one.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = note_signal as *const () as libc::sighandler_t;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

/// Whether a termination signal was received.
pub fn is_stopping() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Sleeps for `time`.
///
/// # Errors
/// A termination signal was received.
pub fn pause(time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    loop {
        if is_stopping() {
            return Err(io::Error::other("stopped by a signal"));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SIGNAL_CHECK));
    }
}

/// Whether SIGUSR1 was received since the last call.
pub fn takes_report() -> bool {
    REPORT.swap(false, Ordering::Relaxed)
}

/// Kills a process that leads a group of its own, with its group, and waits for it.
pub(crate) fn kill_group(child: &mut Child) {
    if let Ok(group) = libc::pid_t::try_from(child.id()) {
        // SAFETY: the call takes no pointers. The id of the group is not reused while a member is alive.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Suspends a process, or resumes it.
pub(crate) fn suspend(child: &Child, stopped: bool) {
    let signal = if stopped { libc::SIGSTOP } else { libc::SIGCONT };
    if let Ok(id) = libc::pid_t::try_from(child.id()) {
        // SAFETY: the call takes no pointers. The id of a child is not reused before the child was waited for.
        unsafe { libc::kill(id, signal) };
    }
}

/// Has `command` killed when the thread that starts it ends, for any reason.
pub(crate) fn dies_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call that takes numbers, and does nothing else.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
            Ok(())
        });
    }
}

/// Restricts `command` to one processor core.
pub(crate) fn runs_on(command: &mut Command, core: usize) {
    // SAFETY: between fork and exec the closure makes one system call that reads a local, and does nothing else.
    unsafe {
        command.pre_exec(move || stay_on(&[core]));
    }
}

/// Restricts the calling thread, and threads and programs started by it later, to `cores`.
pub(crate) fn stay_on(cores: &[usize]) -> io::Result<()> {
    // SAFETY: all zeros is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    for core in cores.iter().filter(|core| **core < CORES_MAX) {
        // SAFETY: the set is a local that has room for that many cores.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: the call reads the set, which is a local.
    done(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })
}

/// The cores on which the calling thread may run.
pub(crate) fn own_cores() -> io::Result<Vec<usize>> {
    // SAFETY: all zeros is a valid set; the call fills it.
    let (mut set, size) = (unsafe { zeroed::<libc::cpu_set_t>() }, size_of::<libc::cpu_set_t>());
    // SAFETY: the set is a local of that size.
    done(unsafe { libc::sched_getaffinity(0, size, &raw mut set) })?;
    // SAFETY: the set has room for that many cores.
    Ok((0..CORES_MAX).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
}

/// Raises the limit of open files of this process, and of those it starts, to `count` unless it is higher.
pub(crate) fn open_files(count: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills a local.
    done(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur >= count {
        return Ok(());
    }
    let raised = libc::rlimit { rlim_cur: count, rlim_max: limit.rlim_max.max(count) };
    // SAFETY: the call reads a local.
    done(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) }).map_err(|error| {
        let allowed = limit.rlim_max;
        io::Error::new(error.kind(), format!("{count} open files are needed, {allowed} are allowed: {error}"))
    })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Cores that a `cpu_set_t` can hold.
const CORES_MAX: usize = libc::CPU_SETSIZE as usize;
