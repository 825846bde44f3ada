//! Requests that wait for the receiver: so many samples at most, the oldest go first.

use std::collections::VecDeque;

use bytes::Bytes;

/// One request, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Compressed.
    pub(super) body: Bytes,
    pub(super) samples: usize,
}

/// A bounded queue.
#[derive(Debug)]
pub(super) struct Buffer {
    waiting: VecDeque<Request>,
    samples: usize,
    capacity: usize,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), samples: 0, capacity }
    }

    /// Puts a request at the end; returns how many samples had to go for it.
    pub(super) fn push(&mut self, request: Request) -> usize {
        self.samples += request.samples;
        self.waiting.push_back(request);
        let mut dropped = 0;
        while self.samples > self.capacity {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.samples -= oldest.samples;
            dropped += oldest.samples;
        }
        dropped
    }

    /// Whether so many samples more fit without a loss.
    pub(super) fn has_room(&self, samples: usize) -> bool {
        self.samples + samples <= self.capacity
    }

    /// The oldest request; it is the sender's from now on.
    pub(super) fn pop(&mut self) -> Option<Request> {
        let request = self.waiting.pop_front()?;
        self.samples -= request.samples;
        Some(request)
    }

    /// Samples that wait.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }
}
