//! A client of a language model's API, against an origin that streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::support::Up;
use crate::support::apps::{App, Bundler, project, set_variable};

const WORDS: [&str; 3] = ["Hello", ", ", "wörld"];

/// The origin: the second and later words of a streamed answer wait for `go` when a test holds its other end.
struct Model {
    address: String,
    gate: Arc<Mutex<Option<Receiver<()>>>>,
}

impl Model {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let gate: Arc<Mutex<Option<Receiver<()>>>> = Arc::default();
        let (held, tries) = (gate.clone(), Arc::new(AtomicU32::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (held, tries) = (held.clone(), tries.clone());
                std::thread::spawn(move || serve(stream, &held, &tries));
            }
        });
        Self { address, gate }
    }

    /// From now on each word after the first waits until something is sent.
    fn hold(&self) -> Sender<()> {
        let (go, wait) = channel();
        *self.gate.lock().unwrap() = Some(wait);
        go
    }
}

/// One request of one connection. Fails when the client has gone.
fn serve(stream: TcpStream, gate: &Mutex<Option<Receiver<()>>>, tries: &AtomicU32) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut head, mut length, mut chunked) = (String::new(), String::new(), 0, false);
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        length = lower.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap_or(0));
        chunked |= lower.starts_with("transfer-encoding: chunked");
        head.push_str(&std::mem::take(&mut line));
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            let start = body.len();
            body.resize(start + size + 2, 0);
            reader.read_exact(&mut body[start..])?;
            body.truncate(start + size);
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    answer(stream, &head, &String::from_utf8_lossy(&body), gate, tries)
}

fn answer(
    mut stream: TcpStream,
    head: &str,
    body: &str,
    gate: &Mutex<Option<Receiver<()>>>,
    tries: &AtomicU32,
) -> std::io::Result<()> {
    let request = head.lines().next().unwrap_or_default();
    let (method, path) = request.split_once(' ').unwrap_or_default();
    let path = path.split(' ').next().unwrap_or_default();
    let sent: Value = serde_json::from_str(body).unwrap_or_default();
    let authorized = head.to_ascii_lowercase().contains("authorization: bearer key-1");
    let (status, answer) = match (method, path) {
        _ if !authorized => (401, json!({ "error": { "message": "no key" } })),
        ("POST", "/v1/chat/completions") if sent["stream"] == true => return words(stream, gate),
        ("POST", "/v1/chat/completions") => {
            let message = json!({ "role": "assistant", "content": WORDS.concat() });
            (200, json!({ "id": "c-1", "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }))
        }
        ("POST", "/v1/files") => {
            let whole = body.contains("name=\"purpose\"\r\n\r\nbatch")
                && body.contains("filename=\"batch.jsonl\"")
                && body.contains("\r\n\r\n{}\n\r\n");
            (200, json!({ "id": "file-1", "whole": whole }))
        }
        ("GET", "/v1/models/flaky") if tries.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => (503, json!({})),
        ("GET", "/v1/models/flaky") => (200, json!({ "id": "flaky" })),
        _ => (404, json!({ "error": { "message": "no such model", "code": "model_not_found" } })),
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} Model\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-Request-Id: r-1\r\n\
         Retry-After-Ms: 1\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(format!("{head}{answer}").as_bytes())
}

/// The answer as server-sent events; lines and characters are cut in two on their way.
fn words(mut stream: TcpStream, gate: &Mutex<Option<Receiver<()>>>) -> std::io::Result<()> {
    let gate = gate.lock().unwrap_or_else(PoisonError::into_inner).take();
    stream.set_nodelay(true)?;
    let head = "HTTP/1.1 200 Model\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\
                Connection: close\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    let mut chunk = |bytes: &[u8]| {
        let mut message = format!("{:x}\r\n", bytes.len()).into_bytes();
        message.extend_from_slice(bytes);
        message.extend_from_slice(b"\r\n");
        stream.write_all(&message)
    };
    for (n, word) in WORDS.iter().enumerate() {
        if let (Some(gate), true) = (&gate, n > 0) {
            let _ = gate.recv();
        }
        let choice = json!({ "index": 0, "delta": { "role": "assistant", "content": word } });
        let event = format!("data: {}\n\n", json!({ "id": "c-1", "choices": [choice] })).into_bytes();
        let middle = event.iter().position(|byte| !byte.is_ascii()).map_or(event.len() / 2, |at| at + 1);
        chunk(&event[..middle])?;
        chunk(&event[middle..])?;
    }
    let end = json!({ "id": "c-1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    chunk(format!("data: {end}\n\ndata: [DONE]\n\n").as_bytes())?;
    chunk(b"")
}

#[test]
fn openai() {
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    let model = Model::start();
    for bundler in Bundler::BOTH {
        let project = project("openai", bundler);
        set_variable(&project, "ORIGIN", &model.address);
        up.deploy(project.path());
        let app = App::named(&up, "openai");
        app.get("/complete").expect(200, r#"{"text":"Hello, wörld","request":"r-1"}"#);
        app.get("/stream").expect(200, r#"["Hello",", ","wörld",""]"#);

        // A word goes to the client when the model says it, not when the answer is complete.
        let go = model.hold();
        let mut seen = Vec::new();
        let relayed = app.get_in_pieces("/relay", |so_far| {
            if !so_far.is_empty() && seen.last().is_none_or(|last| last != so_far) {
                seen.push(so_far.to_owned());
                let _ = go.send(());
            }
        });
        relayed.expect(200, "Hello, wörld");
        assert_eq!(seen[..2], ["Hello", "Hello, "], "{seen:?}");

        let raw = app.get("/raw").text();
        assert_eq!(raw.lines().count(), 4, "{raw}");
        let helped = app.get("/helper").json();
        assert_eq!(helped["text"], "Hello, wörld", "{helped}");
        app.get("/upload").expect(200, r#"{"id":"file-1","whole":true}"#);
        let failed = app.get("/fails").json();
        assert_eq!((&failed["status"], &failed["code"]), (&404.into(), &"model_not_found".into()), "{failed}");
        assert_eq!(app.get("/retries").json()["id"], "flaky");
    }
}
