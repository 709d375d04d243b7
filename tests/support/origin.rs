//! An origin: an HTTP/1.1 server on loopback that answers each request with a function's status and text.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A request as the origin received it.
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Starts it; it ends with the test process.
pub fn start(answer: impl Fn(&Received) -> (u16, String) + Send + Clone + 'static) -> SocketAddr {
    start_raw(move |received, stream| {
        let (status, text) = answer(received);
        let kind = if text.starts_with(['{', '[']) { "application/json" } else { "text/plain" };
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status} Origin\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{text}").as_bytes())
    })
}

/// Starts one that writes its answers itself, head and all. When the function returns, the connection is closed.
pub fn start_raw(
    answer: impl Fn(&Received, &mut TcpStream) -> std::io::Result<()> + Send + Clone + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &answer));
        }
    });
    address
}

/// One connection, one request: the answer closes it.
fn serve(mut stream: TcpStream, answer: &impl Fn(&Received, &mut TcpStream) -> std::io::Result<()>) -> Option<()> {
    let mut received = Vec::new();
    let head = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&received[..end]).into_owned();
        }
        fill(&mut stream, &mut received)?;
    };
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let mut body = received.split_off(head.len() + 4);
    if let Some(length) = header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        while body.len() < length {
            fill(&mut stream, &mut body)?;
        }
    } else if header("transfer-encoding").is_some() {
        while !body.ends_with(b"0\r\n\r\n") {
            fill(&mut stream, &mut body)?;
        }
    }
    answer(&Received { method, path, headers, body }, &mut stream).ok()
}

fn fill(stream: &mut TcpStream, into: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 << 10];
    let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
    into.extend_from_slice(&buffer[..read]);
    Some(())
}
