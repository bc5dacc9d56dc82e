//! A connection in use (Apache: `SendWorker`, `RecvWorker`).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::guard::BoxedStream;
use super::hub::Hub;
use super::slot::Slot;
use super::{FRAME_MAX, LOG, MeshEvent};
use crate::base::ServerId;
use crate::zab::election::Notification;

/// Reads and writes until one of them fails, or somebody replaces the connection.
pub(super) async fn run(
    hub: Arc<Hub>,
    sid: ServerId,
    number: u64,
    stream: BoxedStream,
    slot: Arc<Slot>,
) {
    let (reader, writer) = split(stream);
    let end = tokio::select! {
        end = read(&hub, sid, reader) => end,
        end = write(&slot, writer) => end,
    };
    if let Err(e) = end {
        tracing::warn!(target: LOG, "Connection broken for id {}, my id = {}: {e}", sid.0, hub.options.me.0);
    }
    hub.link_ended(sid, number);
}

async fn read(hub: &Hub, sid: ServerId, mut from: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut frame = Vec::new();
    loop {
        read_frame(&mut from, &mut frame).await?;
        match Notification::decode(&frame) {
            Ok(n) => hub.inbox.push(MeshEvent::Notification(sid, n)),
            Err(e) => {
                tracing::warn!(target: LOG, "Unusable notification from {}: {e}", sid.0);
            }
        }
        if frame.capacity() > 8192 {
            frame = Vec::new();
        }
    }
}

/// Reads one frame. Memory grows with what arrives, not with what is announced.
async fn read_frame(from: &mut (impl AsyncRead + Unpin), frame: &mut Vec<u8>) -> io::Result<()> {
    let announced = from.read_i32().await?;
    let length = usize::try_from(announced).unwrap_or(0);
    if length == 0 || length > FRAME_MAX {
        let why = format!("Received packet with invalid packet: {announced}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    frame.clear();
    let read = from.take(length as u64).read_to_end(frame).await?;
    match read == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn write(slot: &Slot, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    if let Some(message) = slot.first() {
        write_frame(&mut to, &message).await?;
    }
    loop {
        let message = slot.next().await;
        write_frame(&mut to, &message).await?;
    }
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), message: &Bytes) -> io::Result<()> {
    let length = i32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut frame = Vec::with_capacity(message.len().saturating_add(4));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    to.write_all(&frame).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frame_of(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (mut from, mut frame) = (bytes, Vec::new());
        read_frame(&mut from, &mut frame).await.map(|()| frame)
    }

    #[tokio::test]
    async fn frames_have_a_length_that_makes_sense() {
        assert_eq!(frame_of(b"\0\0\0\x02ab").await.unwrap(), b"ab");
        for wrong in [
            &b"\0\0\0\0"[..],
            b"\xff\xff\xff\xff",
            b"\x80\0\0\0",
            b"\0\x08\0\x01a",
            b"\x7f\xff\xff\xff",
        ] {
            let kind = frame_of(wrong).await.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidData, "{wrong:?}");
        }
        let kind = frame_of(b"\0\x08\0\0abc").await.unwrap_err().kind();
        assert_eq!(
            kind,
            io::ErrorKind::UnexpectedEof,
            "half a megabyte may be announced"
        );
    }
}
