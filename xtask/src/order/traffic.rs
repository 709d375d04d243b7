//! What is asked of the node while it is recorded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, ensure};

/// Connections at once.
const CONNECTIONS: usize = 32;

/// Answers `/` with a text, what is posted to `/document` with what it makes of the JSON, and what is posted to `/stream` with
/// that.
pub const WARM_APP: &str = r#"export default {
  async fetch(request) {
    if (request.method === "GET") return new Response("Hello World\n");
    if (request.url.endsWith("/stream")) return new Response(request.body);
    const { lines } = await request.json();
    const total = lines.reduce((sum, { price, count }) => sum + price * count, 0);
    return Response.json({ total, agent: request.headers.get("user-agent") });
  },
};
"#;

/// An app that counts its calls, with code of its own.
pub fn cold_app(app: usize) -> String {
    format!(
        "const NAME = \"cold-{app}\";\nlet calls = 0;\n\
         export default {{ fetch() {{ calls += 1; return new Response(`${{NAME}} ${{calls}}\\n`); }} }};\n"
    )
}

/// Asks the warm app for its text so many times, on several connections at once.
pub fn hello(node: SocketAddr, requests: usize) -> anyhow::Result<()> {
    on_connections(node, requests, |connection, _| {
        ensure!(connection.ask("GET", "warm", "/", "")? == "Hello World\n", "the warm app says something else");
        Ok(())
    })
}

/// Posts so many documents of JSON to it, and as many texts that it streams back.
pub fn documents(node: SocketAddr, requests: usize) -> anyhow::Result<()> {
    let lines: Vec<_> = (1..=20).map(|price| format!(r#"{{"price":{price},"count":2,"name":"a thing"}}"#)).collect();
    let document = format!(r#"{{"lines":[{}]}}"#, lines.join(","));
    on_connections(node, requests * 2, |connection, number| {
        let (path, expected) = match number % 2 {
            0 => ("/document", r#"{"total":420,"agent":"order"}"#),
            _ => ("/stream", document.as_str()),
        };
        let answer = connection.ask("POST", "warm", path, &document)?;
        ensure!(answer == expected, "{path} is answered with {answer:?}");
        Ok(())
    })
}

/// Calls an app that counts its calls twice.
pub fn twice(node: SocketAddr, app: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(node)?;
    for call in 1..=2 {
        let answer = connection.ask("GET", app, "/", "")?;
        ensure!(answer == format!("{app} {call}\n"), "{app} answers call {call} with {answer:?}");
    }
    Ok(())
}

fn on_connections(
    node: SocketAddr,
    requests: usize,
    ask: impl Fn(&mut Connection, usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let one = || {
            let mut connection = Connection::open(node)?;
            (0..requests.div_ceil(CONNECTIONS)).try_for_each(|number| ask(&mut connection, number))
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| anyhow::bail!("the thread of a connection panicked"))
        })
    })
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(node: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(node).with_context(|| format!("cannot connect to {node}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and returns the body of its answer, which must have the status 200.
    fn ask(&mut self, method: &str, app: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {app}.localhost\r\nuser-agent: order\r\n{length}\r\n");
        self.0.get_mut().write_all((head + body).as_bytes())?;
        let status = self.line()?;
        ensure!(status.starts_with("HTTP/1.1 200"), "{app}{path} is answered with {status}");
        let (mut length, mut chunked) = (0, false);
        loop {
            let field = self.line()?.to_ascii_lowercase();
            match field.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
                None => break,
            }
        }
        if !chunked {
            return self.take(length);
        }
        let mut body = String::new();
        loop {
            let chunk = self.line()?;
            let length = usize::from_str_radix(&chunk, 16).with_context(|| format!("a chunk of {chunk:?} bytes"))?;
            body += &self.take(length)?;
            ensure!(self.line()?.is_empty(), "a chunk is longer than it says");
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line)? > 0, "the connection ended");
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, length: usize) -> anyhow::Result<String> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}
