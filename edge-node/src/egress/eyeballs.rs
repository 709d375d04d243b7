//! Which of a host's addresses is connected to: both families in turn, one attempt a moment after the other, the first
//! that succeeds (RFC 8305).

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// Between the beginnings of two attempts (RFC 8305 §5, "Connection Attempt Delay").
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses in the order in which they are tried: the families take turns, the one of the first address first; within
/// a family the order stays (RFC 8305 §4, with a first address family count of 1).
pub fn order(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = addresses.first().map(IpAddr::is_ipv6) else { return addresses };
    let (ours, others): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(|to| to.is_ipv6() == first);
    let mut ordered = Vec::with_capacity(ours.len() + others.len());
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    loop {
        match (ours.next(), others.next()) {
            (None, None) => return ordered,
            (ours, others) => ordered.extend(ours.into_iter().chain(others)),
        }
    }
}

/// Connects to the addresses in their order, the next one `delay` after the one before or as soon as one has failed,
/// and returns what comes first; `None` when all have failed. The others are given up.
pub async fn race<T, E, F>(addresses: &[IpAddr], delay: Duration, connect: impl Fn(IpAddr) -> F) -> Option<T>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(connect(*address));
        }
        let more = waiting.len() > 0;
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(connection)) => return Some(connection),
                Some(Err(_)) => {}
                None => return None,
            },
            () = tokio::time::sleep(delay), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let mixed = addresses(&["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"]);
        assert_eq!(order(mixed), addresses(&["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]));
        let mixed = addresses(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        assert_eq!(order(mixed), addresses(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]));
        assert_eq!(order(Vec::new()), Vec::<IpAddr>::new());
    }

    #[tokio::test]
    async fn a_dead_address_does_not_hold_the_others_up() {
        let all = addresses(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        let tried = RefCell::new(Vec::new());
        let won = race(&all, Duration::from_millis(1), async |to: IpAddr| {
            tried.borrow_mut().push(to);
            // The first never answers, the second refuses.
            match all.iter().position(|known| *known == to) {
                Some(0) => pending().await,
                Some(1) => Err(()),
                _ => Ok(to),
            }
        });
        assert_eq!(won.await, Some(all[2]));
        assert_eq!(*tried.borrow(), all);
    }

    #[tokio::test]
    async fn a_refusal_starts_the_next_attempt_at_once() {
        let all = addresses(&["192.0.2.1", "192.0.2.2"]);
        let hours = Duration::from_secs(36_000);
        let won = race(&all, hours, async |to: IpAddr| if to == all[0] { Err(()) } else { Ok(to) });
        assert_eq!(won.await, Some(all[1]));
        assert_eq!(race(&all, hours, async |_| Err::<(), _>(())).await, None);
        assert_eq!(race(&[], hours, async |_| Ok::<_, ()>(())).await, None);
    }
}
