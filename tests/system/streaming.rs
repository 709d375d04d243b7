//! Bodies that stream both ways, with back-pressure, and clients that go away.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use crate::support::roles::{ControlPlane, EdgeNode};
use crate::support::{Connection, Up, eventually};

/// Counts what its streams have produced and what has become of them.
const PRODUCER: &str = r#"
let begun = 0, produced = 0, aborted = 0, cancelled = 0;
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/counters") return Response.json({ begun, produced, aborted, cancelled });
    begun++;
    request.signal.addEventListener("abort", () => { aborted++; });
    if (pathname === "/never") await new Promise((resolve) => setTimeout(resolve, 25_000));
    if (pathname === "/silent") {
      return new Response(new ReadableStream({
        start(controller) { controller.enqueue(new TextEncoder().encode("first")); },
        pull() { return new Promise(() => {}); },
        cancel() { cancelled++; },
      }));
    }
    return new Response(new ReadableStream({
      pull(controller) {
        if (produced >= 1 << 28) return controller.close();
        produced += 1 << 16;
        controller.enqueue(new Uint8Array(1 << 16));
      },
      cancel() { cancelled++; },
    }));
  },
};
"#;

/// A node on which an app has one isolate, so that whoever asks for counters asks the isolate that counts.
struct OneIsolate {
    node: EdgeNode,
    _control_plane: ControlPlane,
}

impl OneIsolate {
    #[track_caller]
    fn start(limits: serde_json::Value) -> Self {
        let control_plane = ControlPlane::start();
        let node = EdgeNode::start(&control_plane, "one", "[isolates]\nmax_per_version = 1\n");
        let mut api = control_plane.api();
        let revision = api.deploy("producer", PRODUCER, serde_json::json!({ "limits": limits }));
        api.settle(revision);
        Self { node, _control_plane: control_plane }
    }

    /// A request whose answer is still to be read.
    #[track_caller]
    fn send(&self, path: &str) -> Connection {
        let mut connection = Connection::open(self.node.address).unwrap();
        connection.send_head("GET", "producer.localhost", path, &[]).unwrap();
        connection
    }

    #[track_caller]
    fn counter(&self, name: &str) -> u64 {
        let counters = self.node.get("producer", "/counters").json();
        counters[name].as_u64().unwrap_or_else(|| panic!("no {name} in {counters}"))
    }
}

#[test]
fn a_body_goes_through_in_pieces_while_it_is_sent() {
    let up = Up::start();
    up.deploy_source(
        "echo",
        r#"export default { fetch(request) {
             const upper = new TransformStream({ transform(chunk, controller) {
               controller.enqueue(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase()));
             } });
             return new Response(request.body.pipeThrough(upper));
           } };"#,
    );
    let mut connection = Connection::open(up.edge).unwrap();
    connection.send_head("POST", "echo.localhost", "/", &[("transfer-encoding", "chunked")]).unwrap();
    connection.send_chunk(b"one").unwrap();
    let (head, mut framing) = connection.read_head().unwrap();
    assert_eq!(head.status, 200);
    for (answer, next) in [("ONE", "two"), ("TWO", "three"), ("THREE", "")] {
        let mut piece = Vec::new();
        while piece.len() < answer.len() {
            piece.extend(connection.read_body(&mut framing).unwrap().expect("the body goes on"));
        }
        assert_eq!(String::from_utf8(piece).unwrap(), answer);
        connection.send_chunk(next.as_bytes()).unwrap();
    }
    assert_eq!(connection.read_body(&mut framing).unwrap(), None);
}

#[test]
fn a_large_body_arrives_whole() {
    let up = Up::start();
    up.deploy_with(
        "sum",
        r#"export default { async fetch(request) {
             if (request.method === "GET") {
               let left = 256;
               return new Response(new ReadableStream({ pull(controller) {
                 if (left-- === 0) return controller.close();
                 controller.enqueue(new Uint8Array(65536).fill(left));
               } }));
             }
             let bytes = 0, sum = 0;
             for await (const chunk of request.body) { bytes += chunk.length; sum = (sum + chunk[0]) % 1e9; }
             return new Response(String(bytes));
           } };"#,
        serde_json::json!({ "limits": { "cpu_ms": 20_000 } }),
    );
    up.post("sum", "/", &vec![7; 20 << 20]).expect(200, &(20 << 20).to_string());
    let response = up.get("sum", "/");
    assert!(response.complete);
    assert_eq!(response.body.len(), 256 << 16);
    assert!(response.body.chunks(1 << 16).zip((0..256).rev()).all(|(chunk, n)| chunk.iter().all(|b| *b == n as u8)));
}

#[test]
fn a_producer_does_not_run_ahead_of_a_slow_reader() {
    let one = OneIsolate::start(serde_json::json!({ "cpu_ms": 20_000 }));
    let mut connection = one.send("/");
    let (_, mut framing) = connection.read_head().unwrap();
    connection.read_body(&mut framing).unwrap().expect("a first chunk");
    let (mut last, mut unchanged) = (0, 0);
    let produced = eventually("the producer pauses", || {
        let produced = one.counter("produced");
        unchanged = if produced == last { unchanged + 1 } else { 0 };
        last = produced;
        (unchanged == 20).then_some(produced)
    });
    // What fits into the sockets' buffers on both sides and the queues in between.
    assert!(produced < 32 << 20, "{produced} bytes were produced for a reader that took one chunk");
    let mut taken = 0;
    while taken < 64 << 20 {
        taken += connection.read_body(&mut framing).unwrap().expect("the body goes on").len();
    }
    assert!(one.counter("produced") > produced, "the producer goes on when the reader does");
}

#[test]
fn a_sender_does_not_run_ahead_of_a_slow_handler() {
    let up = Up::start();
    up.deploy_source(
        "slow",
        r#"export default { async fetch(request) {
             const reader = request.body.getReader();
             await reader.read();
             await new Promise((resolve) => setTimeout(resolve, 20_000));
             return new Response("done");
           } };"#,
    );
    let mut connection = Connection::open(up.edge).unwrap();
    connection.send_head("POST", "slow.localhost", "/", &[("content-length", &(90 << 20).to_string())]).unwrap();
    connection.stream().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let chunk = vec![0; 1 << 16];
    let mut accepted = 0;
    let stopped = loop {
        match connection.stream().write(&chunk) {
            Ok(written) => accepted += written,
            Err(error) => break error.kind(),
        }
        assert!(accepted < 64 << 20, "{accepted} bytes were taken for a handler that read one chunk");
    };
    assert!(matches!(stopped, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped:?} after {accepted} bytes");
}

#[test]
fn a_client_that_goes_away_aborts_the_request() {
    let one = OneIsolate::start(serde_json::json!({}));
    let waiting = one.send("/never");
    eventually("the request is under way", || (one.counter("begun") == 1).then_some(()));
    drop(waiting);
    eventually("request.signal aborts before a response", || (one.counter("aborted") == 1).then_some(()));

    let mut reading = one.send("/silent");
    let (_, mut framing) = reading.read_head().unwrap();
    assert_eq!(reading.read_body(&mut framing).unwrap().as_deref(), Some(&b"first"[..]));
    drop(reading);
    eventually("the response's stream is cancelled and the signal aborts", || {
        (one.counter("cancelled") == 1 && one.counter("aborted") == 2).then_some(())
    });
}
