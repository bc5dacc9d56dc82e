//! What is to be sent to one server: one message, the newest (Apache: `queueSendMap`,
//! `lastMessageSent`).

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A queue of one.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Option<Bytes>,
    last: Option<Bytes>,
}

impl Slot {
    /// Puts a message in the place of one that was not sent.
    pub fn put(&self, message: Bytes) {
        self.state.lock().pending = Some(message);
        self.arrived.notify_one();
    }

    /// The first message on a new connection: the one waiting, else the last one sent again, for
    /// it may have been lost with the connection before.
    pub fn first(&self) -> Option<Bytes> {
        let mut state = self.state.lock();
        if let Some(message) = state.pending.take() {
            state.last = Some(message);
        }
        state.last.clone()
    }

    /// The next message, once there is one. Nothing is lost when this is dropped.
    pub async fn next(&self) -> Bytes {
        loop {
            let arrived = self.arrived.notified();
            let taken = {
                let mut state = self.state.lock();
                let taken = state.pending.take();
                if taken.is_some() {
                    state.last.clone_from(&taken);
                }
                taken
            };
            match taken {
                Some(message) => return message,
                None => arrived.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_wins_and_the_last_is_kept() {
        let slot = std::sync::Arc::new(Slot::default());
        assert_eq!(slot.first(), None);
        slot.put(Bytes::from_static(b"a"));
        slot.put(Bytes::from_static(b"b"));
        assert_eq!(slot.next().await, "b");
        assert_eq!(slot.first().unwrap(), "b", "again on a new connection");
        slot.put(Bytes::from_static(b"c"));
        assert_eq!(slot.first().unwrap(), "c");
        let waiting = tokio::spawn({
            let slot = slot.clone();
            async move { slot.next().await }
        });
        tokio::task::yield_now().await;
        slot.put(Bytes::from_static(b"d"));
        assert_eq!(waiting.await.unwrap(), "d");
    }
}
