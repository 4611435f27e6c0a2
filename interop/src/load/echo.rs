//! Messages at an interval that come back.

use super::Figure;
use super::ends::{Run, lock};
use sim::outcome::Latency;
use sim::work::{Content, EchoPlan, Pattern};
use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::{Duration, Instant};

/// What the writing and the reading thread of a client share.
#[derive(Default)]
struct UnderWay {
    /// Where each message ends in the stream, and when it was due.
    messages: VecDeque<(u64, Instant)>,
    sent: u64,
    /// No message will follow.
    ended: bool,
}

impl Run<'_> {
    pub(super) fn echo_client<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        index: usize,
        plan: &'scope EchoPlan,
        stream: TcpStream,
    ) {
        let shared = Arc::new((stream, Mutex::new(UnderWay::default())));
        let reader = Arc::clone(&shared);
        scope.spawn(move || self.echo_read(index, &reader.0, &reader.1));
        self.echo_write(index, plan, &shared.0, &shared.1);
    }

    fn echo_write(&self, index: usize, plan: &EchoPlan, stream: &TcpStream, under_way: &Mutex<UnderWay>) {
        let mut pattern = self.pattern(index, Content::Random);
        let mut due = Duration::from_micros(self.load.work[index].start_us);
        let mut end = 0;
        while self.sleep_until(due) {
            let message = draw(&mut pattern, plan.message_bytes as usize);
            end += message.len() as u64;
            let mut shared = lock(under_way);
            shared.messages.push_back((end, self.at(due)));
            shared.sent += 1;
            drop(shared);
            if let Err(error) = self.write_all(stream, &message) {
                return self.fail(format!("echo, writing: {error}"));
            }
            due += Duration::from_micros(plan.interval_us);
        }
        lock(under_way).ended = true;
    }

    fn echo_read(&self, index: usize, stream: &TcpStream, under_way: &Mutex<UnderWay>) {
        let mut pattern = self.pattern(index, Content::Random);
        let mut latency = Latency::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            // A moment without messages on their way: perhaps the last one is back.
            if is_done(under_way) || self.is_over() {
                break;
            }
            let n = match self.read_or_pause(stream, &mut buffer) {
                Ok(Some(0)) => break,
                Ok(Some(n)) => n,
                Ok(None) => continue,
                Err(error) => return self.fail(format!("echo, reading: {error}")),
            };
            let now = Instant::now();
            bytes += n as u64;
            if let Err(at) = pattern.check(&buffer[..n]) {
                return self.fail(format!("echo: the byte at {at} is wrong"));
            }
            let mut shared = lock(under_way);
            while let Some((_, due)) = shared.messages.pop_front_if(|(end, _)| *end <= bytes) {
                latency.record(now.saturating_duration_since(due));
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        let shared = lock(under_way);
        let received = shared.sent - shared.messages.len() as u64;
        let (name, latency_us) = (self.load.work[index].name.clone(), latency.percentiles());
        self.found(index, Figure::Echo { name, bytes, sent: shared.sent, received, latency_us });
    }

    /// The target's end: sends back what it reads.
    pub(super) fn mirror(&self, stream: &TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = self.read(stream, &mut buffer) {
            if self.write_all(stream, &buffer[..n]).is_err() {
                return;
            }
        }
    }
}

fn is_done(under_way: &Mutex<UnderWay>) -> bool {
    let shared = lock(under_way);
    shared.ended && shared.messages.is_empty()
}

fn draw(pattern: &mut Pattern, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let n = pattern.upcoming().len().min(len - bytes.len());
        bytes.extend_from_slice(&pattern.upcoming()[..n]);
        pattern.advance(n);
    }
    bytes
}
