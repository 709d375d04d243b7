//! Clients over HTTP/2 that are slow to open their windows, because they read slowly or because they mean no good.

use std::time::Duration;

use atoll_edge_node::EdgeNode;
use atoll_runtime::Engine;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::conformance::{DATA, END_STREAM, GOAWAY, RST_STREAM, WINDOW_UPDATE, frame, get_on, hello, next};
use crate::support::{config, node};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(120);
/// A window as it is at first (RFC 9113 §6.9.2), bytes.
const WINDOW: usize = 65_535;
/// How long a client may be silent that was sent nothing.
const SILENCE: Duration = Duration::from_millis(500);

async fn serving(engine: &Engine, min_rate: u32) -> EdgeNode {
    let mut config = config();
    config.connections.write_timeout_ms = SILENCE.as_millis() as u64;
    config.connections.min_rate = min_rate;
    let code = "export default { fetch() { return new Response(new Uint8Array(3 * 65535)); } };";
    node(config, engine, &[("a", code)]).await
}

/// Opens the windows of the connection and of its first stream.
async fn open(stream: &mut TcpStream, bytes: usize) {
    let more = u32::try_from(bytes).unwrap().to_be_bytes();
    let both = [frame(WINDOW_UPDATE, 0, 0, &more), frame(WINDOW_UPDATE, 0, 1, &more)].concat();
    stream.write_all(&both).await.unwrap();
}

/// So many bytes of the answer, and whether it ends; or the code with which its stream was reset.
async fn take(stream: &mut TcpStream, bytes: usize) -> Result<bool, u32> {
    let mut taken = 0;
    loop {
        let (kind, flags, id, payload) = timeout(LONG, next(stream)).await.expect("a frame").expect("it goes on");
        assert_ne!(kind, GOAWAY, "{payload:?}");
        match (kind, id) {
            (RST_STREAM, 1) => return Err(u32::from_be_bytes(payload.try_into().unwrap())),
            (DATA, 1) => {
                taken += payload.len();
                if taken >= bytes || flags & END_STREAM != 0 {
                    return Ok(flags & END_STREAM != 0);
                }
            }
            _ => {}
        }
    }
}

/// A client that says that it has read when it has read all of a window, which takes it much longer than a client may be
/// silent, gets all of the answer; one that reads nothing at all is given up.
pub async fn readers_get_all(engine: Engine) {
    let node = serving(&engine, 128).await;
    let mut clients = [hello(node.local_addr(), &[]).await, hello(node.local_addr(), &[]).await];
    for client in &mut clients {
        client.write_all(&get_on(1)).await.unwrap();
        assert_eq!(take(client, WINDOW).await, Ok(false));
    }
    let [mut slow, mut stopped] = clients;
    let mut pace = interval(3 * SILENCE);
    pace.tick().await;
    for ends in [false, true] {
        pace.tick().await;
        open(&mut slow, WINDOW).await;
        assert_eq!(take(&mut slow, WINDOW).await, Ok(ends));
    }
    assert_eq!(take(&mut stopped, 1).await, Err(8), "CANCEL");
}

/// A client that opens its window all the time, and by next to nothing, is given up.
pub async fn those_who_take_next_to_nothing_are_given_up(engine: Engine) {
    let node = serving(&engine, 1 << 20).await;
    let mut client = hello(node.local_addr(), &[]).await;
    client.write_all(&get_on(1)).await.unwrap();
    assert_eq!(take(&mut client, WINDOW).await, Ok(false));
    let mut pace = interval(SILENCE / 10);
    let given_up = async {
        loop {
            pace.tick().await;
            open(&mut client, 1).await;
            if let Err(code) = take(&mut client, 1).await {
                return code;
            }
        }
    };
    assert_eq!(timeout(LONG, given_up).await.expect("it is given up"), 8, "CANCEL");
}
