//! What waits for the caller: a bounded number of events, the oldest dropped first (Apache:
//! `recvQueue`).

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{INBOX_MAX, MeshEvent};

/// A queue that forgets.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    events: Mutex<VecDeque<MeshEvent>>,
    arrived: Notify,
}

impl Inbox {
    pub fn push(&self, event: MeshEvent) {
        let mut events = self.events.lock();
        if events.len() >= INBOX_MAX {
            events.pop_front();
        }
        events.push_back(event);
        self.arrived.notify_one();
    }

    /// Hands every event to `take`, for ever.
    pub async fn deliver(&self, take: impl Fn(MeshEvent)) {
        loop {
            let arrived = self.arrived.notified();
            let event = self.events.lock().pop_front();
            match event {
                Some(event) => take(event),
                None => arrived.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ServerId;

    #[tokio::test]
    async fn the_oldest_go_first_when_nobody_takes_them() {
        let inbox = Inbox::default();
        for i in 0..250 {
            inbox.push(MeshEvent::Lost(ServerId(i)));
        }
        let (send, mut taken) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            inbox.deliver(move |event| send.send(event).unwrap()).await;
        });
        for i in 150..250 {
            assert_eq!(taken.recv().await, Some(MeshEvent::Lost(ServerId(i))));
        }
    }
}
