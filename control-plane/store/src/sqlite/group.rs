//! Changes that wait at the same time are committed together: one wait for the disk makes all of them durable.
//!
//! Each keeps its own outcome. One that fails is rolled back alone, and when the common transaction cannot be committed each
//! is made once more in a transaction of its own, so that nobody's change depends on another's.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::StoreError;

/// How many changes share a commit, at most.
pub(super) const MOST: usize = 64;

/// A change to make.
pub(super) trait Job: Send {
    /// Makes it in a transaction, and says whether it is to be kept. What it did before does not count any more.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;
    /// It could not be made, or not be kept.
    fn fail(&mut self, error: StoreError);
    /// Tells whoever asked what came of it.
    fn reply(self: Box<Self>);
}

struct Change<T, F> {
    change: F,
    outcome: Result<T, StoreError>,
    done: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Change<T, F>
where
    T: Send,
    F: Fn(&Transaction<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        self.outcome = (self.change)(transaction);
        self.outcome.is_ok()
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Err(error);
    }

    fn reply(self: Box<Self>) {
        // Whoever asked may be gone; the change stands all the same.
        drop(self.done.send(self.outcome));
    }
}

/// A job, and where its outcome arrives.
pub(super) fn job<T: Send + 'static>(
    change: impl Fn(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
    let (done, answer) = oneshot::channel();
    let outcome = Err(StoreError::Storage("the change was not made".into()));
    (Box::new(Change { change, outcome, done }), answer)
}

/// Makes all these changes, in their order.
pub(super) fn run(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) {
    if jobs.len() > 1 && together(connection, jobs).is_ok() {
        return;
    }
    for job in jobs {
        if let Err(error) = alone(connection, job.as_mut()) {
            job.fail(error);
        }
    }
}

fn alone(connection: &mut Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if job.run(&transaction) {
        transaction.commit()?;
    }
    Ok(())
}

/// Fails when nothing has been changed.
fn together(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs {
        transaction.prepare_cached("SAVEPOINT change")?.execute([])?;
        let keep = job.run(&transaction);
        // Some errors, a full disk among them, may have ended the whole transaction: these fail then.
        if !keep {
            transaction.prepare_cached("ROLLBACK TO change")?.execute([])?;
        }
        transaction.prepare_cached("RELEASE change")?.execute([])?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)").unwrap();
        connection
    }

    fn rows(connection: &Connection) -> Vec<i64> {
        let mut query = connection.prepare("SELECT n FROM t ORDER BY n").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn insert(tx: &Transaction<'_>, n: i64) -> Result<i64, StoreError> {
        tx.execute("INSERT INTO t (n) VALUES (?1)", [n])?;
        Ok(n)
    }

    #[test]
    fn one_that_fails_takes_back_its_own_changes_alone() {
        let mut connection = table();
        let (first, mut of_first) = job(|tx| insert(tx, 1));
        let (failing, mut of_failing) = job(|tx| {
            insert(tx, 2)?;
            insert(tx, 1)
        });
        let (last, mut of_last) = job(|tx| insert(tx, 3));
        let mut jobs = vec![first, failing, last];
        run(&mut connection, &mut jobs);
        assert_eq!(rows(&connection), [1, 3]);
        assert!(of_first.try_recv().is_err(), "nobody is told before it is replied");
        jobs.into_iter().for_each(|job| job.reply());
        assert_eq!((of_first.try_recv().unwrap().unwrap(), of_last.try_recv().unwrap().unwrap()), (1, 3));
        assert!(of_failing.try_recv().unwrap().is_err());
    }

    #[test]
    fn when_the_common_transaction_ends_each_is_made_alone() {
        let mut connection = table();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let (first, mut of_first) = job(move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            insert(tx, 1)
        });
        let (ending, mut of_ending) = job(|tx| {
            insert(tx, 2)?;
            tx.execute("INSERT OR ROLLBACK INTO t (n) VALUES (2)", [])?;
            Ok(())
        });
        let (last, mut of_last) = job(|tx| insert(tx, 3));
        let mut jobs = vec![first, ending, last];
        run(&mut connection, &mut jobs);
        jobs.into_iter().for_each(|job| job.reply());
        assert_eq!(rows(&connection), [1, 3]);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert!(of_first.try_recv().unwrap().is_ok() && of_last.try_recv().unwrap().is_ok());
        assert!(of_ending.try_recv().unwrap().is_err());
    }
}
