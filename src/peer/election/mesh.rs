//! The handle of the mesh.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::hub::Hub;
use super::{Addresses, MeshError, MeshEvent, MeshOptions, accept};
use crate::base::ServerId;

/// The election's connections with all other servers. They end with it.
pub struct ElectionMesh {
    hub: Arc<Hub>,
    listening: Vec<SocketAddr>,
}

impl ElectionMesh {
    /// Listens, and connects to nobody yet. `on_event` gets what arrives, one at a time; while it
    /// takes its time, up to 100 wait and older ones are dropped, as nobody misses an old vote.
    /// Runs on the tokio runtime it is called on.
    ///
    /// # Errors
    /// [`MeshError::Bind`] when all attempts at listening failed.
    pub async fn start(
        options: MeshOptions,
        addresses: Addresses,
        on_event: impl Fn(MeshEvent) + Send + Sync + 'static,
    ) -> Result<Self, MeshError> {
        let listeners = accept::bind_all(&options).await?;
        let hub = Hub::new(options, addresses);
        let listening = listeners
            .iter()
            .filter_map(|l| l.local_addr().ok())
            .collect();
        for listener in listeners {
            hub.spawn(accept::run(hub.clone(), listener));
        }
        let inbox = hub.clone();
        hub.spawn(async move { inbox.inbox.deliver(on_event).await });
        Ok(Self { hub, listening })
    }

    /// Where it listens.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Sends a notification, in the place of one to the same server that was not sent yet; connects
    /// first if need be. Nothing happens for a server that is neither a member nor connected.
    pub fn send(&self, to: ServerId, notification: impl Into<Bytes>) {
        self.hub.put(to, notification.into());
    }

    /// Connects to a member, or pokes it to connect, unless it is connected.
    pub fn connect(&self, to: ServerId) {
        self.hub.connect(to, &[]);
    }

    /// [`ElectionMesh::connect`] for all members.
    pub fn connect_all(&self) {
        for sid in self.hub.others() {
            self.hub.connect(sid, &[]);
        }
    }

    /// The members changed. Connections stay.
    pub fn update_members(&self, addresses: Addresses) {
        self.hub.set_addresses(addresses);
    }

    /// Closes everything; the ports are free afterwards.
    pub async fn shutdown(self) {
        let mut tasks = self.hub.stop();
        while tasks.join_next().await.is_some() {}
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        self.hub.counts()
    }
}

impl Drop for ElectionMesh {
    fn drop(&mut self) {
        self.hub.stop();
    }
}
