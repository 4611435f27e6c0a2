//! Network namespaces joined by veth pairs. They have no names: the kernel removes each with its devices when the process that
//! keeps it ends, which a signal does even if the test is killed.

use crate::common::{Program, skipped};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A network namespace.
pub(crate) struct Space {
    keeper: Child,
}

impl Space {
    /// None without the right to make one.
    pub(crate) fn new() -> Option<Self> {
        let mut keeper = Command::new("unshare")
            .args(["--net", "setpriv", "--pdeathsig", "KILL", "sleep", "600"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let own = std::fs::read_link("/proc/self/ns/net").ok()?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) && keeper.try_wait().ok()?.is_none() {
            let its = std::fs::read_link(format!("/proc/{}/ns/net", keeper.id()));
            if its.is_ok_and(|its| its != own) {
                return Some(Self { keeper });
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.id())
    }

    /// Runs a shell script in the namespace and returns what it prints.
    pub(crate) fn shell(&self, script: &str) -> String {
        let enter = format!("--net={}", self.path());
        let output = Command::new("nsenter").args([&enter, "sh", "-ec", script]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a program in the namespace.
    pub(crate) fn start(&self, path: &str, words: &[&str]) -> Program {
        let enter = format!("--net={}", self.path());
        Program::start("nsenter", &[&[&*enter, path], words].concat())
    }

    /// Runs a function on a thread in the namespace; sockets that it returns stay there.
    pub(crate) fn run<T: Send + 'static>(&self, function: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(self.path()).unwrap();
        let thread = thread::spawn(move || {
            // SAFETY: the descriptor is open during the call.
            assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            function()
        });
        thread.join().unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A client's host, a router and a server's host: 10.91.1.0/24 and fd00:91:1::/64, 10.91.2.0/24 and fd00:91:2::/64.
pub(super) struct Net {
    pub(super) client: Space,
    pub(super) router: Space,
    pub(super) server: Space,
}

pub(super) const SERVER: &str = "10.91.2.2";
pub(super) const SERVER6: &str = "fd00:91:2::2";

impl Net {
    /// Three hosts with a router between them; None, reported, where that is not permitted.
    pub(super) fn routed(test: &str) -> Option<Self> {
        let net = Self::hosts(test)?;
        let up = "ip link set lo up";
        net.join("kc", &net.client, &net.router);
        net.join("ks", &net.server, &net.router);
        for (space, device, network) in [(&net.client, "kc", 1), (&net.server, "ks", 2)] {
            space.shell(&format!(
                "{up}; ip addr add 10.91.{network}.2/24 dev {device}; ip addr add fd00:91:{network}::2/64 dev {device} nodad; \
                 ip link set {device} up; ip route add default via 10.91.{network}.1; ip -6 route add default via fd00:91:{network}::1"
            ));
        }
        net.router.shell(&format!(
            "{up}; for n in 1:kcr 2:ksr; do ip addr add 10.91.${{n%:*}}.1/24 dev ${{n#*:}}; \
             ip addr add fd00:91:${{n%:*}}::1/64 dev ${{n#*:}} nodad; ip link set ${{n#*:}} up; done; \
             sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        ));
        Some(net)
    }

    /// Two hosts of one link, and between them a place for a wire of the test.
    pub(super) fn wired(test: &str) -> Option<Self> {
        let net = Self::hosts(test)?;
        net.join("kc", &net.client, &net.router);
        net.join("ks", &net.server, &net.router);
        for (space, device, address) in [(&net.client, "kc", "10.91.2.1"), (&net.server, "ks", SERVER)] {
            space.shell(&format!(
                "ip link set lo up; ip addr add {address}/24 dev {device}; ip link set {device} up"
            ));
        }
        net.router.shell(
            "for d in kcr ksr; do sysctl -qw net.ipv6.conf.$d.disable_ipv6=1; ip link set $d up; done",
        );
        Some(net)
    }

    fn hosts(test: &str) -> Option<Self> {
        match (Space::new(), Space::new(), Space::new()) {
            (Some(client), Some(router), Some(server)) => Some(Self { client, router, server }),
            _ => {
                skipped(test, "no right to make network namespaces (root has it)");
                None
            }
        }
    }

    /// A veth pair: `name` at a host, `namer` at the router.
    fn join(&self, name: &str, host: &Space, router: &Space) {
        host.shell(&format!(
            "ip link add name {name} type veth peer name {name}r netns {}",
            router.keeper.id()
        ));
    }
}
