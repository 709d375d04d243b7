use futures::FutureExt;

use super::*;

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

fn none() -> Option<Hold> {
    None
}

#[test]
fn messages_arrive_in_order_and_the_close_after_them() {
    let (a, b) = Socket::pair();
    a.try_send(text("1"), none).unwrap();
    a.try_send(Message::Binary(vec![2]), none).unwrap();
    assert_eq!(a.buffered(), 2);
    a.close(Close::new(1000, "bye"));
    a.close(Close::new(1001, "too late"));
    assert_eq!(a.try_send(text("3"), none), Err(Refused::Gone));
    assert_eq!(b.try_receive(), Some(Received::Message(text("1"))));
    assert_eq!(b.try_receive(), Some(Received::Message(Message::Binary(vec![2]))));
    assert_eq!(b.try_receive(), Some(Received::Close(Close::new(1000, "bye"))));
    assert!(matches!(b.try_receive(), Some(Received::Lost(_))));
    b.try_send(text("the other direction is still open"), none).unwrap();
    assert!(matches!(a.try_receive(), Some(Received::Message(_))));
}

#[test]
fn an_end_that_is_dropped_is_lost_to_the_other_after_what_it_sent() {
    let (a, mut b) = Socket::pair();
    let mut gone = b.watch();
    a.try_send(text("last words"), none).unwrap();
    drop(a);
    assert!(matches!(b.try_receive(), Some(Received::Message(_))));
    assert!(matches!(b.try_receive(), Some(Received::Lost(_))));
    assert_eq!(b.try_send(text("x"), none), Err(Refused::Gone));
    assert!(gone.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
    drop(b);
    assert!(gone.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
}

#[test]
fn who_cannot_wait_is_refused_and_who_can_waits() {
    let (a, b) = Socket::pair();
    a.try_send(Message::Binary(vec![0; MOST_BUFFERED + 1]), none).unwrap();
    assert_eq!(a.try_send(text(""), none), Err(Refused::Full));
    assert_eq!(a.try_send(Message::Binary(vec![0; LONGEST_MESSAGE + 1]), none), Err(Refused::TooLong));
    let mut waits = Box::pin(a.send(text("next"), None));
    assert_eq!(waits.as_mut().now_or_never(), None);
    assert!(b.try_receive().is_some());
    assert_eq!(waits.now_or_never(), Some(true));
    assert_eq!(b.try_receive(), Some(Received::Message(text("next"))));
    assert_eq!(a.buffered(), 0);
}

#[test]
fn empty_messages_count_too() {
    let (a, _b) = Socket::pair();
    let sent = (0..MOST_BUFFERED).take_while(|_| a.try_send(text(""), none).is_ok()).count();
    assert!((1000..=MOST_BUFFERED / OVERHEAD + 1).contains(&sent), "{sent}");
}

#[test]
fn a_hold_is_kept_as_long_as_its_message_waits() {
    struct Flag(Arc<std::sync::atomic::AtomicUsize>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = || dropped.load(std::sync::atomic::Ordering::Relaxed);
    let hold = || Some(Box::new(Flag(dropped.clone())) as Hold);
    let (a, b) = Socket::pair();
    a.try_send(text("1"), hold).unwrap();
    a.try_send(text("2"), hold).unwrap();
    b.try_receive();
    assert_eq!(count(), 1);
    a.discard(Close::new(1013, ""));
    assert_eq!(count(), 2);
    assert_eq!(b.try_receive(), Some(Received::Close(Close::new(1013, ""))));
}

#[test]
fn abandoning_wakes_whoever_reads() {
    let (a, b) = Socket::pair();
    let mut reading = Box::pin(b.receive());
    assert_eq!(reading.as_mut().now_or_never(), None);
    b.abandon("enough");
    assert_eq!(reading.now_or_never(), Some(Received::Lost("enough".into())));
    assert_eq!(a.try_receive(), Some(Received::Lost("enough".into())));
}

#[test]
fn sockets_that_are_given_are_taken_once_and_lost_when_nobody_takes_them() {
    let (a, b) = Socket::pair();
    let (near, far) = Socket::pair();
    near.try_send(text("before"), none).unwrap();
    let number = a.give(far).unwrap();
    assert!(a.take_given(number).is_none() && b.take_given(number + 1).is_none());
    let far = b.take_given(number).unwrap();
    assert!(b.take_given(number).is_none());
    assert_eq!(far.try_receive(), Some(Received::Message(text("before"))));

    let (near, far) = Socket::pair();
    a.give(far).unwrap();
    assert_eq!(near.try_receive(), None);
    drop(b);
    assert!(matches!(near.try_receive(), Some(Received::Lost(_))));
    assert!(a.give(Socket::pair().0).is_none());

    let (a, _b) = Socket::pair();
    let given = (0..100).map_while(|_| a.give(Socket::pair().0)).count();
    assert_eq!((given, a.has_room_to_give()), (MOST_GIVEN, false));
}
