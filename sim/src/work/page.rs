use super::fetch::Fetch;
use super::streams::Streams;
use super::{Application, START};
use crate::Side;
use crate::ids::Stream;
use crate::outcome::WorkOutcome;
use crate::plan::{PagePlan, Proxy};
use crate::rng::below;
use crate::transport::Port;
use engine::{Entropy, Instant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Both ends. The unit that is counted and timed is the page: from its first request to its last object. An object whose
/// stream is reset is requested again.
#[derive(Debug)]
pub struct Page {
    plan: PagePlan,
    streams: Streams,
    objects: BTreeMap<Stream, Fetch>,
    began_at: Option<Instant>,
}

impl Page {
    /// Both sides before the first page.
    pub fn new(name: &str, plan: &PagePlan, dice: Entropy) -> Self {
        let streams = Streams::new(name, dice);
        Self { plan: *plan, streams, objects: BTreeMap::new(), began_at: None }
    }

    fn draw(&mut self) -> Fetch {
        let PagePlan { request_bytes, object_bytes_min, object_bytes_max, .. } = self.plan;
        let extra = below(self.streams.dice(), object_bytes_max - object_bytes_min + 1);
        Fetch { request_bytes, reply_bytes: object_bytes_min + extra, proxy: Proxy::None }
    }

    fn request(&mut self, port: &mut dyn Port, fetch: Fetch) {
        if let Some(stream) = self.streams.open(port, |flow| fetch.begin(flow)) {
            self.objects.insert(stream, fetch);
        }
    }

    fn is_last_begun(&self) -> bool {
        self.streams.stopped || self.streams.begun >= self.plan.pages
    }

    fn object_arrived(&mut self, port: &mut dyn Port, stream: Stream) {
        self.objects.remove(&stream);
        let Some(began_at) = self.began_at.filter(|_| self.objects.is_empty()) else { return };
        self.began_at = None;
        self.streams.note_done(port.now(), began_at);
        if !self.is_last_begun() {
            port.wake_at(port.now() + Duration::from_micros(self.plan.think_us), START);
        }
    }
}

impl Application for Page {
    fn tick(&mut self, port: &mut dyn Port, _tag: u64) {
        if self.is_last_begun() || self.began_at.is_some() {
            return;
        }
        self.streams.begun += 1;
        self.began_at = Some(port.now());
        for _ in 0..self.plan.objects {
            let fetch = self.draw();
            self.request(port, fetch);
        }
    }

    fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        let mut whole = false;
        let fetch = self.objects.get(&stream).copied();
        self.streams.advance(port, stream, |flow, side| {
            whole = side == Side::Client && flow.down.reader.ended && !flow.up.ends;
            match fetch {
                Some(fetch) => fetch.react(flow, side),
                None => flow.up.ends = true,
            }
        });
        if whole {
            self.object_arrived(port, stream);
        }
    }

    fn reset(&mut self, port: &mut dyn Port, stream: Stream) {
        let lost = self.streams.reset(port, stream);
        if let Some(fetch) = lost.and_then(|_| self.objects.remove(&stream)) {
            self.request(port, fetch);
        }
    }

    fn stop(&mut self, _now: Instant) {
        self.streams.stopped = true;
    }

    fn is_finite(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        self.is_last_begun() && self.began_at.is_none() && self.streams.is_empty()
    }

    fn owed_bytes(&self) -> u64 {
        self.objects.values().map(|fetch| fetch.request_bytes + fetch.reply_bytes).sum()
    }

    fn outcome(&self) -> WorkOutcome {
        WorkOutcome::Page(self.streams.activity())
    }
}
