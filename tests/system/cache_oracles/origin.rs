//! The origin behind the caches: answers each case as the table says, and remembers who asked.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::cases::{Case, field};
use crate::support::origin::{Received, start_raw};

/// Bodies, by how often the origin was asked in a case.
const BODIES: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "one more"];

/// An answer of the table.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    cut: bool,
}

impl Answer {
    fn new(text: &str) -> Self {
        let mut parts = text.split(" | ");
        let status =
            parts.next().and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {text:?}"));
        let fields: Vec<&str> = parts.collect();
        let headers = fields.iter().filter(|part| **part != "cut").map(|part| field(part)).collect();
        Self { status, headers, cut: fields.contains(&"cut") }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Memory {
    /// How often each run of a case asked.
    counts: HashMap<String, usize>,
    /// What each request was answered with.
    seen: HashMap<String, Given>,
}

/// What a request was answered with.
#[derive(Clone, Copy)]
pub struct Given {
    /// The status; 0 when the connection was closed instead.
    pub status: u16,
    /// The body ended too early.
    pub cut: bool,
}

/// It serves as long as the test process lives.
pub struct Origin {
    /// Where it answers.
    pub address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Origin {
    /// Starts one for these cases.
    pub fn start(cases: &[Case]) -> Self {
        let cases = cases.iter().map(|case| case.answers.iter().map(|text| Answer::new(text)).collect::<Vec<_>>());
        let cases: Arc<Vec<_>> = Arc::new(cases.collect());
        let memory = Arc::new(Mutex::new(Memory::default()));
        let kept = memory.clone();
        let address = start_raw(move |received, stream| answer(&cases, &memory, received, stream));
        Self { address, memory: kept }
    }

    /// What a request was answered with; `None` when it did not come.
    pub fn seen(&self, id: &str) -> Option<Given> {
        self.memory.lock().unwrap().seen.get(id).copied()
    }
}

fn answer(
    cases: &[Vec<Answer>],
    memory: &Mutex<Memory>,
    received: &Received,
    stream: &mut TcpStream,
) -> std::io::Result<()> {
    let header = |name: &str| received.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let Some((run, answers)) = run_of(cases, &received.path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let id = header("x-ask").unwrap_or_default().to_owned();
    let mut memory = memory.lock().unwrap();
    let count = memory.counts.entry(run.clone()).or_default();
    *count += 1;
    let count = *count;
    let mut answer = answers[(count - 1).min(answers.len() - 1)].clone();
    for (_, value) in &mut answer.headers {
        *value = filled(value, &run);
    }
    let same = |condition: &str, validator: &str| {
        header(condition).is_some_and(|asked| answer.header(validator).is_some_and(|own| asked.contains(own)))
    };
    let unchanged = match header("if-none-match") {
        Some(_) => same("if-none-match", "etag"),
        None => same("if-modified-since", "last-modified"),
    };
    if answer.status == 200 && unchanged {
        answer.status = 304;
    }
    memory.seen.insert(id.clone(), Given { status: answer.status, cut: answer.cut });
    drop(memory);
    if answer.status == 0 {
        return Ok(());
    }
    let body = BODIES[(count - 1).min(BODIES.len() - 1)];
    let mut head = format!("HTTP/1.1 {} Origin\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if answer.header("date").is_none() {
        let _ = write!(head, "Date: {}\r\n", date(0));
    }
    // A 304 is about an answer that was made before.
    if answer.status != 304 {
        let _ = write!(head, "X-Answer: {id}\r\n");
    }
    if matches!(answer.status, 204 | 304) {
        return stream.write_all(format!("{head}\r\n").as_bytes());
    }
    let length = body.len() + if answer.cut { 100 } else { 0 };
    let _ = write!(head, "Content-Length: {length}\r\nContent-Type: text/plain\r\n\r\n");
    if received.method != "HEAD" {
        head.push_str(body);
    }
    stream.write_all(head.as_bytes())
}

/// What a path `/CACHE/CASE/ATTEMPT…` begins with, and the answers of its case.
fn run_of<'a>(cases: &'a [Vec<Answer>], path: &str) -> Option<(String, &'a [Answer])> {
    let path = path.split('?').next()?;
    let mut parts = path.splitn(5, '/').skip(1);
    let (cache, number, attempt) = (parts.next()?, parts.next()?, parts.next()?);
    let answers = cases.get(number.parse::<usize>().ok()?)?;
    Some((format!("/{cache}/{number}/{attempt}"), answers))
}

/// A field's value with dates and the path in their places.
fn filled(value: &str, run: &str) -> String {
    let value = value.replace("{self}", run);
    let Some((before, rest)) = value.split_once("{date") else { return value };
    let Some((offset, after)) = rest.split_once('}') else { return value };
    let offset = if offset.is_empty() { 0 } else { offset.parse().expect("seconds from now") };
    format!("{before}{}{after}", date(offset))
}

fn date(offset: i64) -> String {
    let distance = Duration::from_secs(offset.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if offset < 0 { now - distance } else { now + distance })
}
