//! The nodes as they are now: which have their stream open, and what each says it runs. None of it is kept on the disk;
//! nodes come back and say it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use atoll_protocol::api::{Node, NodeReport, UnixMillis};
use tokio::sync::watch;

/// The nodes that this process has heard of.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    entries: Mutex<BTreeMap<String, Entry>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Entry {
    /// A node that comes back may be there before its lost stream is noticed.
    streams: usize,
    report: Option<NodeReport>,
    last_seen: Option<UnixMillis>,
}

/// An open stream of a node.
#[derive(Debug)]
pub(crate) struct Connection {
    nodes: Arc<Nodes>,
    name: String,
}

impl Nodes {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a node with the state of revision `since` has opened its stream.
    pub(crate) fn connect(self: &Arc<Self>, name: &str, since: u64, now: UnixMillis) -> Connection {
        let mut entries = self.entries();
        let entry = entries.entry(name.to_owned()).or_default();
        entry.streams += 1;
        entry.last_seen = Some(now);
        // A node that has lost its state does not run what it reported before.
        if entry.report.as_ref().is_some_and(|report| report.revision > since) {
            entry.report = None;
        }
        drop(entries);
        self.changed.send_replace(());
        Connection { nodes: Arc::clone(self), name: name.to_owned() }
    }

    /// Takes a node's report.
    pub(crate) fn report(&self, name: &str, report: NodeReport, now: UnixMillis) {
        let mut entries = self.entries();
        let entry = entries.entry(name.to_owned()).or_default();
        entry.report = Some(report);
        entry.last_seen = Some(now);
        drop(entries);
        self.changed.send_replace(());
    }

    /// All nodes by name.
    pub(crate) fn all(&self) -> Vec<Node> {
        let node = |(name, entry): (&String, &Entry)| Node {
            name: name.clone(),
            connected: entry.streams > 0,
            report: entry.report.clone(),
            last_seen: entry.last_seen,
        };
        self.entries().iter().map(node).collect()
    }

    /// The connected nodes by name.
    pub(crate) fn connected(&self) -> Vec<Node> {
        self.all().into_iter().filter(|node| node.connected).collect()
    }

    /// Tells of every change of a node.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// Whether all these nodes run at least `revision`.
pub(crate) fn settled(nodes: &[Node], revision: u64) -> bool {
    nodes.iter().all(|node| node.report.as_ref().is_some_and(|report| report.revision >= revision))
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(entry) = self.nodes.entries().get_mut(&self.name) {
            entry.streams = entry.streams.saturating_sub(1);
        }
        self.nodes.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(revision: u64) -> NodeReport {
        NodeReport {
            revision,
            edge_url: "http://127.0.0.1:8080".into(),
            default_domain: "localhost".into(),
            failures: BTreeMap::new(),
            certificate_failures: BTreeMap::new(),
        }
    }

    #[test]
    fn a_node_is_connected_while_any_of_its_streams_is_open() {
        let nodes = Arc::new(Nodes::default());
        let first = nodes.connect("a", 0, 1);
        let second = nodes.connect("a", 0, 2);
        drop(first);
        assert_eq!(nodes.connected().len(), 1);
        drop(second);
        assert!(nodes.connected().is_empty());
        assert_eq!(nodes.all()[0].last_seen, Some(2));
    }

    #[test]
    fn a_revision_settles_when_every_connected_node_has_it() {
        let nodes = Arc::new(Nodes::default());
        assert!(settled(&nodes.connected(), 5));
        let _a = nodes.connect("a", 0, 1);
        let b = nodes.connect("b", 0, 1);
        assert!(!settled(&nodes.connected(), 5));
        nodes.report("a", report(6), 2);
        nodes.report("b", report(4), 2);
        assert!(!settled(&nodes.connected(), 5));
        drop(b);
        assert!(settled(&nodes.connected(), 5));
        let _again = nodes.connect("a", 3, 3);
        assert!(!settled(&nodes.connected(), 5), "a node that lost its state has to report again");
    }
}
