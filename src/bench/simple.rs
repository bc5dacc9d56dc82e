//! A blocking client for preparing and cleaning up.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::error::BenchError;
use super::wire::{self, Head};
use crate::jute::{Input, Jute};
use crate::proto::code::Code;
use crate::proto::op::OpCode;
use crate::proto::request::{DeleteRequest, ReadRequest};

/// Longest answer taken, bytes: a million names.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// One session, one request after the other.
pub struct Client {
    socket: TcpStream,
    xid: i32,
}

impl Client {
    /// Opens a session.
    ///
    /// # Errors
    /// When there is no server, or it refuses.
    pub fn open(addr: SocketAddr) -> Result<Self, BenchError> {
        Self::open_within(addr, Duration::from_secs(120))
    }

    /// As [`Client::open`], waiting at most `patience` for each answer. A server that is starting may
    /// take a request and never answer it.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn open_within(addr: SocketAddr, patience: Duration) -> Result<Self, BenchError> {
        let socket = TcpStream::connect_timeout(&addr, Duration::from_secs(10))
            .map_err(BenchError::io("connect"))?;
        let setup = || {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(patience))
        };
        setup().map_err(BenchError::io("setsockopt"))?;
        let mut client = Self { socket, xid: 0 };
        client.write(&wire::connect(30_000))?;
        let answer = client.frame()?;
        if answer.len() < 16 || answer[4..8] == [0; 4] {
            return Err(BenchError::Protocol("the session was refused".into()));
        }
        Ok(client)
    }

    /// Sends one request and waits for its answer: the error code and the body.
    ///
    /// # Errors
    /// When the connection breaks or the answer is another's.
    pub fn call<'a>(
        &mut self,
        op: OpCode,
        body: &impl Jute<'a>,
    ) -> Result<(i32, Vec<u8>), BenchError> {
        self.xid += 1;
        self.write(&wire::frame(self.xid, op, &body.to_bytes()))?;
        self.answer(self.xid)
    }

    fn answer(&mut self, xid: i32) -> Result<(i32, Vec<u8>), BenchError> {
        let mut answer = self.frame()?;
        if answer.len() < 16 {
            return Err(BenchError::Protocol("a short answer".into()));
        }
        let mut with_len = vec![0; 4];
        with_len.extend_from_slice(&answer[..16]);
        let head = Head::of(&with_len, false);
        if head.xid != xid {
            return Err(BenchError::Protocol(format!("xid {} for {xid}", head.xid)));
        }
        Ok((head.err, answer.split_off(16)))
    }

    /// Creates a node; one that is there already is fine.
    ///
    /// # Errors
    /// As [`Client::call`], and every other error code.
    pub fn ensure(&mut self, path: &str) -> Result<(), BenchError> {
        let (err, _) = self.call(OpCode::Create, &wire::create(path, &[], 0))?;
        expect("create", path, err, &[Code::NodeExists])
    }

    /// Names of a node's children; none when there is no such node.
    ///
    /// # Errors
    /// As [`Client::call`], and every other error code.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>, BenchError> {
        let request = ReadRequest {
            path: wire::text(path),
            watch: false,
        };
        let (err, body) = self.call(OpCode::GetChildren, &request)?;
        expect("getChildren", path, err, &[Code::NoNode])?;
        if err != 0 {
            return Ok(Vec::new());
        }
        let names = Input::new(&body).vector(Input::string);
        let names = names.map_err(|e| BenchError::Protocol(e.to_string()))?;
        let names = names.unwrap_or_default().into_iter().flatten();
        Ok(names.map(std::borrow::Cow::into_owned).collect())
    }

    /// Deletes a node and everything below it.
    ///
    /// # Errors
    /// As [`Client::children`].
    pub fn wipe(&mut self, path: &str) -> Result<(), BenchError> {
        let names = self.children(path)?;
        let mut full = Vec::new();
        for batch in names.chunks(500) {
            let paths: Vec<_> = batch.iter().map(|name| format!("{path}/{name}")).collect();
            for (path, err) in paths.iter().zip(self.delete_all(&paths)?) {
                expect("delete", path, err, &[Code::NoNode, Code::NotEmpty])?;
                if err == Code::NotEmpty as i32 {
                    full.push(path.clone());
                }
            }
        }
        for child in full {
            self.wipe(&child)?;
        }
        let err = self.delete_all(&[path.to_owned()])?;
        expect("delete", path, err[0], &[Code::NoNode])
    }

    /// Deletes these, pipelined; the error code of each.
    fn delete_all(&mut self, paths: &[String]) -> Result<Vec<i32>, BenchError> {
        let first = self.xid + 1;
        let mut out = Vec::new();
        for path in paths {
            self.xid += 1;
            let body = DeleteRequest {
                path: wire::text(path),
                version: -1,
            };
            out.extend(wire::frame(self.xid, OpCode::Delete, &body.to_bytes()));
        }
        self.write(&out)?;
        (first..=self.xid)
            .map(|xid| Ok(self.answer(xid)?.0))
            .collect()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.socket
            .write_all(bytes)
            .map_err(BenchError::io("write"))
    }

    fn frame(&mut self) -> Result<Vec<u8>, BenchError> {
        let mut len = [0; 4];
        let read = BenchError::io("read");
        self.socket.read_exact(&mut len).map_err(read)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > ANSWER_MAX {
            return Err(BenchError::Protocol(format!("an answer of {len} bytes")));
        }
        let mut body = vec![0; len];
        let read = BenchError::io("read");
        self.socket.read_exact(&mut body).map_err(read)?;
        Ok(body)
    }
}

impl Drop for Client {
    /// Closes the session; the server ends the connection.
    fn drop(&mut self) {
        let close = wire::frame(self.xid.wrapping_add(1), OpCode::CloseSession, &[]);
        if self.write(&close).is_ok() {
            let _ = self.frame();
        }
    }
}

fn expect(what: &'static str, path: &str, err: i32, fine: &[Code]) -> Result<(), BenchError> {
    if err == 0 || fine.iter().any(|&c| c as i32 == err) {
        return Ok(());
    }
    let name = Code::of(err).map_or_else(|| err.to_string(), |c| c.name().into());
    Err(BenchError::Refused(what, path.into(), name))
}
