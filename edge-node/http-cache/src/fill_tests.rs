use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;
use crate::key::{KeySettings, Namespace, key};
use crate::storing::judge;

fn head() -> Arc<Head> {
    let response = HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"))]);
    let storable = judge(&Method::GET, &HeaderMap::new(), StatusCode::OK, &response, 0, 0).unwrap();
    Arc::new(Head::new(StatusCode::OK, &response, storable, &HeaderMap::new(), "http://a/", 0))
}

fn a_key() -> Key {
    key(Namespace::of(&[]), &KeySettings::default(), "http://a/", &HeaderMap::new()).unwrap()
}

/// What a future gives at once, if it does.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn read(reader: &mut Reader) -> Option<Option<Result<Bytes, BrokenOff>>> {
    now(reader.next())
}

#[test]
fn readers_get_bytes_as_they_come_whenever_they_join() {
    let budget = Budget::new(1000);
    let (fill, mut writer) = Fill::new(head(), None, 1000, budget.clone());
    let mut early = fill.reader().unwrap();
    assert!(read(&mut early).is_none(), "nothing has come");
    writer.push("abc".into());
    assert_eq!(read(&mut early), Some(Some(Ok("abc".into()))));
    let mut late = fill.reader().unwrap();
    assert_eq!(read(&mut late), Some(Some(Ok("abc".into()))));
    assert!(read(&mut late).is_none());
    writer.push("de".into());
    assert_eq!(budget.left(), 995 - 2 * PIECE_COST);
    let whole = writer.finish().unwrap();
    assert_eq!((whole.length(), budget.left()), (5, 995 - 2 * PIECE_COST), "the pieces are there still");
    assert_eq!(whole.join(false), "abcde");
    assert_eq!(read(&mut late), Some(Some(Ok("de".into()))));
    assert_eq!((read(&mut late), read(&mut late)), (Some(None), Some(None)));
    assert_eq!(budget.left(), 1000);
}

#[test]
fn what_breaks_off_is_an_error_for_all_and_never_whole() {
    let budget = Budget::new(1000);
    for end in 0..3 {
        let (fill, mut writer) = Fill::new(head(), Some(5), 1000, budget.clone());
        let mut reader = fill.reader().unwrap();
        writer.push("abc".into());
        match end {
            0 => writer.fail("gone"),
            1 => assert_eq!(writer.finish().err(), Some(Refusal::Interrupted), "shorter than announced"),
            _ => drop(writer),
        }
        assert_eq!(read(&mut reader), Some(Some(Ok("abc".into()))));
        assert!(matches!(read(&mut reader), Some(Some(Err(BrokenOff(_))))), "{end}");
        assert!(fill.reader().is_none());
    }
    assert_eq!(budget.left(), 1000);
}

#[test]
fn what_is_too_large_passes_through_at_the_pace_of_the_slowest_reader() {
    let (fill, mut writer) = Fill::new(head(), None, 10, Budget::new(1 << 30));
    let (mut fast, mut slow) = (fill.reader().unwrap(), fill.reader().unwrap());
    let chunk = Bytes::from(vec![7; 100 << 10]);
    let mut sent = 0;
    while now(writer.room()).is_some() {
        writer.push(chunk.clone());
        sent += 1;
        assert!(read(&mut fast).is_some());
    }
    assert_eq!((sent, writer.kept()), (3, Err(Refusal::TooLarge)));
    assert!(read(&mut slow).is_some());
    assert!(now(writer.room()).is_some(), "the slow one has taken a chunk");
    assert!(fill.reader().is_none(), "its beginning is gone");
    drop(slow);
    assert!(now(writer.room()).is_some());
    drop(fast);
    assert!(!writer.is_read());
    assert_eq!(writer.finish().err(), Some(Refusal::TooLarge));
}

#[test]
fn memory_for_fills_has_a_budget() {
    let budget = Budget::new(8 + PIECE_COST);
    let (_fill, mut first) = Fill::new(head(), None, 100, budget.clone());
    let (_fill, mut second) = Fill::new(head(), None, 100, budget.clone());
    first.push("12345".into());
    second.push("12345".into());
    assert_eq!((first.kept(), second.kept()), (Ok(()), Err(Refusal::Busy)));
    drop(first);
    assert_eq!(budget.left(), 8 + PIECE_COST);
}

#[test]
fn one_leads_and_the_others_share_what_comes() {
    let flights: Arc<Flights<&str>> = Arc::default();
    let key = a_key();
    let Joined::Leads(mut lead) = flights.join(&key, 1) else { panic!("the first leads") };
    let Joined::Follows(waits) = flights.join(&key, 1) else { panic!("the second follows") };
    assert!(matches!(*waits.borrow(), Progress::Pending));
    let (fill, _writer) = Fill::new(head(), None, 10, Budget::new(10));
    lead.announce(Progress::Shared(fill));
    assert!(matches!(*waits.borrow(), Progress::Shared(_)));
    let Joined::Follows(late) = flights.join(&key, 1) else { panic!("still under way") };
    assert!(matches!(*late.borrow(), Progress::Shared(_)));
    drop(lead);
    assert!(matches!(*late.borrow(), Progress::Shared(_)), "who reads along is not disturbed");
    assert!(flights.is_empty());
}

#[test]
fn a_failure_is_shared_and_a_lost_leader_replaced() {
    let flights: Arc<Flights<&str>> = Arc::default();
    let key = a_key();
    let Joined::Leads(lead) = flights.join(&key, 1) else { panic!() };
    let Joined::Follows(waits) = flights.join(&key, 1) else { panic!() };
    lead.settle(Progress::Failed("no"));
    assert!(matches!(*waits.borrow(), Progress::Failed("no")));
    let Joined::Leads(lead) = flights.join(&key, 1) else { panic!() };
    let Joined::Follows(waits) = flights.join(&key, 1) else { panic!() };
    drop(lead);
    assert!(matches!(*waits.borrow(), Progress::Again));
    assert!(matches!(flights.join(&key, 1), Joined::Leads(_)));
}

#[test]
fn nobody_joins_what_a_purge_or_a_change_made_old() {
    let flights: Arc<Flights<&str>> = Arc::default();
    let key = a_key();
    let Joined::Leads(old) = flights.join(&key, 1) else { panic!() };
    let Joined::Leads(new) = flights.join(&key, 2) else { panic!("a purge came between") };
    assert!(!old.holds() && new.holds());
    drop(old);
    assert!(new.holds(), "the old one does not take the new one's place away");
    flights.invalidate(key.as_bytes());
    assert!(!new.holds());
}
