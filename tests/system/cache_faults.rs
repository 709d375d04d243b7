//! The front cache's disk through `kill -9` of the node: nothing half is served, what is whole stays, what is left over
//! is reclaimed.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::crash::Random;
use crate::support::http::{Framing, Response, get, try_request};
use crate::support::roles::{ControlPlane, EdgeNode};
use crate::support::wait::strike_after;
use crate::support::{Connection, eventually, origin};

const HOST: &str = "files.localhost";

/// The body of the answer that was the `number`th for a path: any cut or mixed bytes of it are seen.
fn body(path: &str, number: u64, size: usize) -> Vec<u8> {
    format!("{path} {number};").into_bytes().into_iter().cycle().take(size).collect()
}

/// How often each path was asked of the origin.
type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// An origin of large files that may be kept for long. The first answer for `/half` stops in the middle.
fn start_origin(size: usize) -> (SocketAddr, Counts) {
    let counts = Counts::default();
    let kept = counts.clone();
    let address = origin::start_raw(move |received, stream: &mut TcpStream| {
        let number = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(received.path.clone()).or_default();
            *count += 1;
            *count
        };
        let head =
            "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=7200\r\nContent-Type: application/octet-stream\r\n";
        stream.write_all(format!("{head}Content-Length: {size}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let bytes = body(&received.path, number, size);
        if received.path == "/half" && number == 1 {
            stream.write_all(&bytes[..size / 2])?;
            // Until the node is gone.
            return stream.read(&mut [0]).map(drop);
        }
        stream.write_all(&bytes)
    });
    (address, kept)
}

/// A node with a disk for its cache and an app in front of the origin.
fn start(origin: SocketAddr) -> (ControlPlane, EdgeNode) {
    let control_plane = ControlPlane::start();
    let tables = "[egress]\nallow = [\"127.0.0.0/8\"]\n[front_cache]\ndisk_mb = 256\n";
    let node = EdgeNode::start(&control_plane, "north", tables);
    let mut api = control_plane.api();
    let revision = api.deploy("files", "export {};", json!({ "proxy": { "url": format!("http://{origin}") } }));
    api.settle(revision);
    (control_plane, node)
}

fn is_hit(answer: &Response) -> bool {
    answer.header("cache-status").is_some_and(|status| status.contains("; hit"))
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Waits until the node has counted what the one before it left.
fn counted(node: &EdgeNode) {
    eventually("the cache on disk is counted", || {
        node.process.log().contains("the cache on disk is counted").then_some(())
    });
}

#[test]
fn a_node_killed_in_the_middle_of_a_fill_serves_nothing_half() {
    const SIZE: usize = 4 << 20;
    let (address, counts) = start_origin(SIZE);
    let (_control_plane, mut node) = start(address);
    let cache = node.data().join("cache");
    assert_eq!(get(node.address, HOST, "/whole").body, body("/whole", 1, SIZE));
    eventually("the whole one is on disk", || (files(&cache.join("entries")).len() == 1).then_some(()));

    let mut client = Connection::open(node.address).unwrap();
    client.send_head("GET", HOST, "/half", &[]).unwrap();
    let (head, mut framing) = client.read_head().unwrap();
    assert_eq!((head.status, framing), (200, Framing::Length(SIZE)));
    let mut received = Vec::new();
    while received.len() < SIZE / 2 {
        received.extend(client.read_body(&mut framing).unwrap().expect("more of the body"));
    }
    assert_eq!(received, body("/half", 1, SIZE)[..SIZE / 2]);
    node.process.kill();
    assert!(!matches!(client.read_body(&mut framing), Ok(Some(_))), "nobody says that it ended");
    // What a process leaves that is killed while it writes: a file without its end, contents that nothing names.
    let torn = cache.join("tmp/77");
    std::fs::write(&torn, &received).unwrap();
    let whole = files(&cache.join("contents"));
    let [content] = whole.as_slice() else { panic!("one content: {whole:?}") };
    let unnamed = ["contents/00", "contents/01"].map(|folder| cache.join(folder).join("0".repeat(64)));
    for path in &unnamed {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(content, path).unwrap();
    }

    let node = node.restart();
    counted(&node);
    assert_eq!((torn.exists(), files(&cache.join("contents"))), (false, vec![content.clone()]));
    let answer = get(node.address, HOST, "/whole");
    assert!(is_hit(&answer) && answer.body == body("/whole", 1, SIZE), "{:?}", answer.headers);
    let answer = get(node.address, HOST, "/half");
    assert!(!is_hit(&answer) && answer.body == body("/half", 2, SIZE), "{:?}", answer.headers);
    eventually("the second fill is on disk", || (files(&cache.join("entries")).len() == 2).then_some(()));
    let answer = get(node.address, HOST, "/half");
    assert!(is_hit(&answer) && answer.body == body("/half", 2, SIZE), "{:?}", answer.headers);
    let counts = counts.lock().unwrap();
    assert_eq!((counts["/whole"], counts["/half"]), (1, 2));
}

#[test]
fn a_node_killed_while_it_stores_keeps_what_is_whole_and_reclaims_the_rest() {
    const SIZE: usize = 512 << 10;
    let (address, _counts) = start_origin(SIZE);
    let (_control_plane, mut node) = start(address);
    let cache = node.data().join("cache");
    let mut random = Random::new();
    let next = AtomicU64::new(0);
    let mut hits = 0;
    // More rounds where the machine is so slow that nothing is stored before the strike.
    for round in 0.. {
        if round >= 3 && hits > 0 {
            break;
        }
        assert!(round < 20, "nothing was on disk in 20 rounds");
        let first = next.load(Ordering::Relaxed);
        let at = node.address;
        let delay = random.below(Duration::from_millis(400 << round.min(4)));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                // Until the node is killed under it.
                scope.spawn(|| {
                    while try_request(at, "GET", HOST, &format!("/{}", next.fetch_add(1, Ordering::Relaxed)), &[], b"")
                        .is_ok_and(|answer| answer.complete)
                    {}
                });
            }
            let process = &mut node.process;
            scope.spawn(move || {
                strike_after(delay);
                process.kill();
            });
        });
        node = node.restart();
        counted(&node);
        // Each has a content of its own.
        let (entries, contents) = (files(&cache.join("entries")).len(), files(&cache.join("contents")).len());
        assert_eq!((entries, files(&cache.join("tmp"))), (contents, Vec::new()));
        for number in first..next.load(Ordering::Relaxed) {
            let path = format!("/{number}");
            let answer = get(node.address, HOST, &path);
            // The origin says how often it was asked for it, so either of two is right, but whole.
            let whole = [1, 2].iter().any(|number| answer.body == body(&path, *number, SIZE));
            assert!(answer.status == 200 && whole, "{path}: {} of {SIZE} bytes", answer.body.len());
            hits += usize::from(is_hit(&answer));
        }
    }
}
