//! Who wants to see which app's log now, and the lines on their way there. Nothing is kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use atoll_protocol::api::LogLine;
use tokio::sync::{broadcast, watch};

/// How many lines wait for a slow reader before it loses the oldest.
const BACKLOG: usize = 1024;

/// The tails of all apps.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    channels: Mutex<HashMap<String, broadcast::Sender<LogLine>>>,
    apps: watch::Sender<BTreeSet<String>>,
}

/// One reader of an app's log.
#[derive(Debug)]
pub(crate) struct Tail {
    tails: Arc<Tails>,
    app: String,
    /// `None` only while it is dropped.
    lines: Option<broadcast::Receiver<LogLine>>,
}

impl Tails {
    /// Starts reading an app's log.
    pub(crate) fn open(self: &Arc<Self>, app: &str) -> Tail {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = channels.entry(app.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        let lines = Some(sender.subscribe());
        self.apps.send_if_modified(|apps| apps.insert(app.to_owned()));
        Tail { tails: Arc::clone(self), app: app.to_owned(), lines }
    }

    /// Passes a line to all who read its app's log.
    pub(crate) fn publish(&self, line: LogLine) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(&line.app) {
            // Without readers the line is nobody's.
            let _ = sender.send(line);
        }
    }

    /// The apps whose logs are read.
    pub(crate) fn watch(&self) -> watch::Receiver<BTreeSet<String>> {
        self.apps.subscribe()
    }
}

impl Tail {
    /// The next line, or how many lines this reader lost because it was too slow. Never ends by itself.
    pub(crate) async fn next(&mut self) -> Result<LogLine, u64> {
        let lines = self.lines.as_mut().expect("present until dropped");
        match lines.recv().await {
            Ok(line) => Ok(line),
            Err(broadcast::error::RecvError::Lagged(lost)) => Err(lost),
            // The sender lives as long as there is a reader, which is this one.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let mut channels = self.tails.channels.lock().unwrap_or_else(PoisonError::into_inner);
        self.lines = None;
        if channels.get(&self.app).is_some_and(|sender| sender.receiver_count() == 0) {
            channels.remove(&self.app);
            self.tails.apps.send_if_modified(|apps| apps.remove(&self.app));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine {
            at: 1,
            node: "n".into(),
            app: "shop".into(),
            version: 1,
            level: "log".into(),
            message: message.into(),
            request_id: None,
        }
    }

    #[tokio::test]
    async fn every_reader_gets_the_lines_of_its_app() {
        let tails = Arc::new(Tails::default());
        tails.publish(line("nobody reads this"));
        let (mut a, mut b, _other) = (tails.open("shop"), tails.open("shop"), tails.open("blog"));
        assert_eq!(*tails.watch().borrow(), BTreeSet::from(["blog".to_owned(), "shop".to_owned()]));
        tails.publish(line("hello"));
        assert_eq!(a.next().await.unwrap().message, "hello");
        assert_eq!(b.next().await.unwrap().message, "hello");
        drop(a);
        assert!(tails.watch().borrow().contains("shop"));
        drop(b);
        assert_eq!(*tails.watch().borrow(), BTreeSet::from(["blog".to_owned()]));
    }

    #[tokio::test]
    async fn a_slow_reader_learns_how_much_it_lost() {
        let tails = Arc::new(Tails::default());
        let mut tail = tails.open("shop");
        for number in 0..BACKLOG + 10 {
            tails.publish(line(&number.to_string()));
        }
        assert_eq!(tail.next().await, Err(10));
        assert_eq!(tail.next().await.unwrap().message, "10");
    }
}
