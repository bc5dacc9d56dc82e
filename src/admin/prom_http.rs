//! `/metrics` over HTTP/1. Apache: `PrometheusMetricsProvider` with `metricsProvider.httpHost` and
//! `metricsProvider.httpPort` (7000).

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::telemetry::prometheus;

/// Gives the exposition of the samples with these names, or of all.
pub type Render = Arc<dyn Fn(&[String]) -> String + Send + Sync>;

/// Connections served at once; more wait in the listen queue.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after an accept that failed (no descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Reply = Response<Either<Full<Bytes>, Chunked>>;

/// Serves until `shutdown` completes. Open connections are then dropped.
pub async fn serve(listener: TcpListener, render: Render, shutdown: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            // Keeps the set small.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Ok((stream, slot)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let render = Arc::clone(&render);
        connections.spawn(async move {
            serve_connection(stream, render).await;
            drop(slot);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn serve_connection(stream: TcpStream, render: Render) {
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = answer(&request, &render);
        async move { Ok::<_, Infallible>(reply) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("Metrics connection ended: {error}");
    }
}

fn answer<B>(request: &Request<B>, render: &Render) -> Reply {
    let method = request.method();
    if method == Method::TRACE {
        return plain(StatusCode::FORBIDDEN, "");
    }
    if request.uri().path() != "/metrics" {
        return not_found(request.uri().path());
    }
    // Apache's servlet treats POST as GET.
    if method == Method::GET || method == Method::HEAD || method == Method::POST {
        let text = render(&names(request.uri().query().unwrap_or("")));
        let mut reply = Response::new(Either::Right(Chunked(Some(Bytes::from(text)))));
        set_header(&mut reply, CONTENT_TYPE, prometheus::CONTENT_TYPE);
        return reply;
    }
    let status = if method == Method::OPTIONS {
        StatusCode::OK
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    };
    let mut reply = plain(status, "");
    set_header(&mut reply, ALLOW, "GET,HEAD,POST,OPTIONS");
    reply
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(text.into())));
    *reply.status_mut() = status;
    reply
}

fn set_header(reply: &mut Reply, name: hyper::header::HeaderName, value: &'static str) {
    reply
        .headers_mut()
        .insert(name, hyper::header::HeaderValue::from_static(value));
}

/// Jetty's page, without its name.
fn not_found(path: &str) -> Reply {
    let path = path
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let page = format!(
        "<html>\n<head>\n\
         <meta http-equiv=\"Content-Type\" content=\"text/html;charset=ISO-8859-1\"/>\n\
         <title>Error 404 Not Found</title>\n</head>\n\
         <body><h2>HTTP ERROR 404 Not Found</h2>\n<table>\n\
         <tr><th>URI:</th><td>{path}</td></tr>\n\
         <tr><th>STATUS:</th><td>404</td></tr>\n\
         <tr><th>MESSAGE:</th><td>Not Found</td></tr>\n\
         </table>\n\n</body>\n</html>\n"
    );
    let mut reply = plain(StatusCode::NOT_FOUND, page);
    set_header(&mut reply, CONTENT_TYPE, "text/html;charset=iso-8859-1");
    set_header(
        &mut reply,
        CACHE_CONTROL,
        "must-revalidate,no-cache,no-store",
    );
    reply
}

/// The values of `name[]` in a query.
fn names(query: &str) -> Vec<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| decoded(key) == "name[]")
        .map(|(_, value)| decoded(value))
        .collect()
}

/// Undoes URL encoding; what is malformed stays as it is.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push((high << 4) | low);
                    rest = tail;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A body that does not tell its length, so that it goes out in chunks as Apache's does.
struct Chunked(Option<Bytes>);

impl Body for Chunked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("a reply");
        reply
    }

    #[test]
    fn over_a_socket() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let render: Render = Arc::new(|names| format!("znode_count 5.0\n# {names:?}\n"));
            let (stop, stopped) = oneshot::channel::<()>();
            let server = tokio::spawn(serve(listener, render, async move {
                let _ = stopped.await;
            }));

            let reply = exchange(address, "GET /metrics?name[]=a&x=1&name%5B%5D=b%2Fc").await;
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
            let lower = reply.to_ascii_lowercase();
            assert!(lower.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
            assert!(lower.contains("transfer-encoding: chunked\r\n"));
            assert!(
                reply.contains("znode_count 5.0\n# [\"a\", \"b/c\"]\n"),
                "{reply}"
            );

            for (request, status) in [
                ("GET /", "404 Not Found"),
                ("GET /metrics/", "404 Not Found"),
                ("TRACE /metrics", "403 Forbidden"),
                ("TRACE /", "403 Forbidden"),
                ("DELETE /metrics", "405 Method Not Allowed"),
                ("HEAD /metrics", "200 OK"),
                ("OPTIONS /metrics", "200 OK"),
            ] {
                let reply = exchange(address, request).await;
                assert!(
                    reply.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                    "{request}: {reply}"
                );
            }

            stop.send(()).expect("still serving");
            server.await.expect("ended");
            assert!(TcpStream::connect(address).await.is_err());
        });
    }

    #[test]
    fn url_encoding() {
        assert_eq!(decoded("a+b%20c%C3%A4"), "a b cä");
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert!(names("").is_empty());
        assert_eq!(names("name[]=&name=x"), [""]);
    }
}
