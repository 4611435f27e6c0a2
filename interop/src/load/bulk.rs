//! Transfers.

use super::Figure;
use super::ends::Run;
use sim::Direction;
use sim::work::BulkPlan;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const PIECE_BYTES: usize = 64 * 1024;

impl Run<'_> {
    pub(super) fn bulk_client(&self, index: usize, plan: &BulkPlan, stream: &TcpStream, opened: Instant) {
        match plan.direction {
            Direction::Up => self.bulk_write(index, plan, stream),
            Direction::Down => self.bulk_read(index, plan, stream, opened),
        }
    }

    pub(super) fn bulk_target(&self, index: usize, plan: &BulkPlan, stream: &TcpStream) {
        // The client opened its end then: both ends share a clock.
        let opened = self.at(Duration::from_micros(self.load.work[index].start_us));
        match plan.direction {
            Direction::Up => self.bulk_read(index, plan, stream, opened),
            Direction::Down => self.bulk_write(index, plan, stream),
        }
    }

    fn bulk_write(&self, index: usize, plan: &BulkPlan, stream: &TcpStream) {
        let mut pattern = self.pattern(index, plan.content);
        let mut left = plan.bytes.unwrap_or(u64::MAX);
        while left > 0 && !self.is_stopped() {
            let upcoming = pattern.upcoming();
            let offered = upcoming.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.write(stream, &upcoming[..offered]) {
                Ok(n) => {
                    pattern.advance(n);
                    left -= n as u64;
                }
                Err(error) => return self.fail(format!("bulk, writing: {error}")),
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        self.await_end(stream);
    }

    fn bulk_read(&self, index: usize, plan: &BulkPlan, stream: &TcpStream, opened: Instant) {
        let mut pattern = self.pattern(index, plan.content);
        let mut buffer = vec![0; PIECE_BYTES];
        let (mut bytes, mut last, mut ended) = (0, opened, false);
        while !self.is_over() && plan.bytes.is_none_or(|wanted| bytes < wanted) {
            match self.read(stream, &mut buffer) {
                Ok(0) => {
                    ended = !self.is_over();
                    break;
                }
                Ok(n) => {
                    (bytes, last) = (bytes + n as u64, Instant::now());
                    if let Err(at) = pattern.check(&buffer[..n]) {
                        return self.fail(format!("bulk: the byte at {at} is wrong"));
                    }
                }
                // How programs end a connection that still has unread data.
                Err(_) => break,
            }
        }
        let complete = plan.bytes.map_or(ended, |wanted| bytes == wanted);
        let us = (last - opened).as_micros() as u64;
        let goodput_kbit = (bytes * 8_000).checked_div(us).unwrap_or(0);
        let (name, direction) = (self.load.work[index].name.clone(), plan.direction.name());
        self.found(index, Figure::Bulk { name, direction, bytes, complete, goodput_kbit });
    }
}
