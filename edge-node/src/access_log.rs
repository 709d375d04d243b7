//! The access log: one JSON object a line for every answered request, written by a thread of its own.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde::{Serialize, Serializer};

/// Records that wait to be written; more are dropped and counted.
const QUEUE: usize = 8192;

/// One answered request.
#[derive(Debug, Serialize)]
pub struct Record {
    /// When it arrived, milliseconds since the Unix epoch.
    pub ts: u64,
    /// The request's id.
    pub id: String,
    /// The client's address.
    pub client: IpAddr,
    /// The method.
    pub method: String,
    /// The host as it was asked for.
    pub host: String,
    /// The path without the query.
    pub path: String,
    /// The status.
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub bytes: u64,
    /// From the request's head to the end of the answer, microseconds.
    pub duration_us: u64,
    /// The app that answered.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub app: Option<Arc<str>>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Whether its isolate was started for the request: `cold` or `warm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<&'static str>,
    /// What the front cache did with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'static str>,
    /// The error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

fn text<S: Serializer>(value: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

/// Where records go. Cheap to clone; the thread ends when the last clone is dropped.
#[derive(Clone)]
pub struct AccessLog {
    queue: SyncSender<Record>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// A log to `stderr` or to the end of a file.
    pub fn open(target: &str) -> io::Result<Self> {
        match target {
            "stderr" => Self::to(io::stderr()),
            path => Self::to(File::options().create(true).append(true).open(path)?),
        }
    }

    fn to(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = dropped.clone();
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&records, &counter, output))?;
        Ok(Self { queue, dropped })
    }

    /// Takes a record; never waits.
    pub fn write(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(records: &Receiver<Record>, dropped: &AtomicU64, output: impl Write) {
    let mut output = BufWriter::with_capacity(64 << 10, output);
    let mut failing = false;
    while let Ok(first) = records.recv() {
        let mut next = Some(first);
        let mut result = Ok(());
        while let Some(record) = next.take() {
            result = result.and_then(|()| line(&mut output, &record));
            next = records.try_recv().ok();
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            result = result.and_then(|()| line(&mut output, &serde_json::json!({ "dropped": lost })));
        }
        match result.and_then(|()| output.flush()) {
            Ok(()) => failing = false,
            // Said once, not for every record of a full disk.
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "the access log cannot be written");
            }
            Err(_) => {}
        }
    }
}

fn line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;

    struct Chunks(Sender<Vec<u8>>);

    impl Write for Chunks {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let (sender, written) = channel();
        let log = AccessLog::to(Chunks(sender)).unwrap();
        log.write(Record {
            ts: 1,
            id: "ab".into(),
            client: [127, 0, 0, 1].into(),
            method: "GET".into(),
            host: "a\"b".into(),
            path: "/".into(),
            status: 200,
            bytes: 3,
            duration_us: 7,
            app: Some("hello".into()),
            version: Some(1),
            start: Some("cold"),
            cache: Some("hit"),
            error: None,
        });
        let text = String::from_utf8(written.recv_timeout(Duration::from_secs(60)).unwrap()).unwrap();
        assert!(text.ends_with("}\n") && text.lines().count() == 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["host"].as_str(), value["app"].as_str()), (Some("a\"b"), Some("hello")));
        assert!(value.get("error").is_none());
    }
}
