//! The loops against a byte stream in memory.

use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::websocket::memory::MessageMemory;

fn settings() -> Settings {
    Settings {
        message_bytes: 100_000,
        ping: Duration::from_secs(60),
        idle: Duration::from_secs(600),
        close: Duration::from_millis(200),
        memory: MessageMemory::new(150_000, 150_000).of(&"app".into()),
    }
}

/// A client's view of a connection that a node serves.
struct Client {
    io: DuplexStream,
    input: BytesMut,
    decoder: Decoder,
    app: Socket,
    task: JoinHandle<(Ended, u64)>,
}

impl Client {
    fn new(settings: Settings, stop: impl Future<Output = Close> + Send + 'static) -> Self {
        let (io, far) = duplex(1 << 10);
        let (app, given) = Socket::pair();
        let task = tokio::spawn(async move { run(far, Role::Server, &given, &settings, stop).await });
        Self { io, input: BytesMut::new(), decoder: Decoder::new(Role::Client, 1 << 20), app, task }
    }

    async fn send(&mut self, encode: impl FnOnce(&Encoder, &mut Vec<u8>)) {
        let mut out = Vec::new();
        encode(&Encoder::new(Role::Client), &mut out);
        // The node may have closed before it has read everything.
        let _ = self.io.write_all(&out).await;
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next(&mut self.input).expect("well-formed frames") {
                return Some(event);
            }
            if self.io.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }
}

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

fn never() -> impl Future<Output = Close> + Send + 'static {
    std::future::pending()
}

#[tokio::test]
async fn a_ping_is_answered_and_a_close_is_too() {
    let mut client = Client::new(settings(), never());
    client.app.send(text("hello"), None).await;
    assert_eq!(client.next().await, Some(Event::Message(text("hello"))));
    client.send(|to, out| to.ping(out)).await;
    assert_eq!(client.next().await, Some(Event::Pong));
    client.send(|to, out| to.close(&Close::new(4000, "done"), out)).await;
    assert_eq!(client.next().await, Some(Event::Close(Close::new(4000, "done"))));
    assert_eq!(client.next().await, None);
    assert_eq!(client.app.receive().await, Received::Close(Close::new(4000, "done")));
    assert_eq!(client.task.await.unwrap(), (Ended::Closed, 5));
}

#[tokio::test]
async fn the_app_closes_and_waits_for_the_answer() {
    let mut client = Client::new(settings(), never());
    client.app.send(text("last"), None).await;
    client.app.close(Close::new(1000, "bye"));
    assert_eq!(client.next().await, Some(Event::Message(text("last"))));
    assert_eq!(client.next().await, Some(Event::Close(Close::new(1000, "bye"))));
    client.send(|to, out| to.close(&Close::new(1000, "bye"), out)).await;
    assert_eq!(client.app.receive().await, Received::Close(Close::new(1000, "bye")));
    assert_eq!(client.task.await.unwrap().0, Ended::Closed);
    let mut silent = Client::new(settings(), never());
    silent.app.close(Close::new(1000, ""));
    assert!(matches!(silent.next().await, Some(Event::Close(_))));
    assert!(matches!(silent.app.receive().await, Received::Lost(_)));
    assert_eq!(silent.task.await.unwrap().0, Ended::Lost);
}

#[tokio::test]
async fn who_is_silent_gets_a_ping_and_counts_as_gone_without_a_pong() {
    let mut client = Client::new(Settings { ping: Duration::from_millis(300), ..settings() }, never());
    let begun = Instant::now();
    assert_eq!(client.next().await, Some(Event::Ping(Vec::new())));
    client.send(|to, out| to.pong(b"", out)).await;
    while client.next().await.is_some() {}
    assert!(begun.elapsed() >= Duration::from_millis(600));
    assert!(matches!(client.app.receive().await, Received::Lost(_)));
    assert_eq!(client.task.await.unwrap().0, Ended::Unresponsive);
}

#[tokio::test]
async fn a_connection_without_messages_is_closed_in_the_end() {
    let (ping, idle) = (Duration::from_secs(2), Duration::from_secs(5));
    let mut client = Client::new(Settings { ping, idle, ..settings() }, never());
    loop {
        match client.next().await {
            Some(Event::Ping(payload)) => client.send(|to, out| to.pong(&payload, out)).await,
            Some(Event::Close(close)) => {
                assert_eq!(close.code, 1001);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(client.app.receive().await, Received::Close(close) if close.code == 1001));
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let client = Client::new(Settings { ping: Duration::from_millis(100), ..settings() }, never());
    client.app.send(Message::Binary(vec![0; 100_000]), None).await;
    assert!(matches!(client.app.receive().await, Received::Lost(_)));
    assert_eq!(client.task.await.unwrap().0, Ended::Unresponsive);
}

/// An app that takes nothing stops the reading; the connection stays, whatever time that takes.
#[tokio::test]
async fn an_app_that_is_slow_slows_its_client_down() {
    let settings = Settings { ping: Duration::from_millis(500), ..settings() };
    let Client { mut io, app, task, .. } = Client::new(settings, never());
    let mut frames = Vec::new();
    for number in 0..1000u16 {
        let message = Message::Binary(number.to_be_bytes().repeat(500));
        Encoder::new(Role::Client).message(&message, &mut frames);
    }
    let mut sending = Box::pin(async move {
        io.write_all(&frames).await.unwrap();
        io
    });
    // Many times as long as a client that is silent may live.
    assert!(timeout(Duration::from_secs(3), sending.as_mut()).await.is_err(), "the node takes everything");
    assert!(!task.is_finished());
    let receive = async {
        for number in 0..1000u16 {
            let expected = Message::Binary(number.to_be_bytes().repeat(500));
            assert_eq!(app.receive().await, Received::Message(expected));
        }
    };
    tokio::join!(sending, receive);
}

#[tokio::test]
async fn what_breaks_the_rules_is_told_so() {
    for (frame, code) in [
        (&[0x81, 0x01, b'a'][..], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        let mut client = Client::new(settings(), never());
        client.io.write_all(frame).await.unwrap();
        assert!(matches!(client.next().await, Some(Event::Close(close)) if close.code == code), "{code}");
        assert!(matches!(client.app.receive().await, Received::Lost(_)));
        assert_eq!(client.task.await.unwrap().0, Ended::Refused);
    }
}

/// Large messages share the node's memory; who finds none left is told to come again.
#[tokio::test]
async fn large_messages_have_a_budget_together() {
    let settings = settings();
    let mut first = Client::new(settings.clone(), never());
    let large = Message::Binary(vec![1; 100_000]);
    first.send(|to, out| to.message(&large, out)).await;
    let mut second = Client::new(settings.clone(), never());
    second.send(|to, out| to.message(&large, out)).await;
    assert!(matches!(second.next().await, Some(Event::Close(close)) if close.code == 1013));
    assert_eq!(first.app.receive().await, Received::Message(large.clone()));
    let mut third = Client::new(settings.clone(), never());
    third.send(|to, out| to.message(&large, out)).await;
    assert_eq!(third.app.receive().await, Received::Message(large));
}

#[tokio::test]
async fn an_app_that_goes_closes_with_1011_and_a_node_that_goes_with_1001() {
    let Client { mut io, mut decoder, mut input, app, task } = Client::new(settings(), never());
    drop(app);
    while decoder.next(&mut input).unwrap().is_none_or(|event| !matches!(event, Event::Close(c) if c.code == 1011)) {
        assert_ne!(io.read_buf(&mut input).await.unwrap(), 0);
    }
    drop(io);
    assert_eq!(task.await.unwrap().0, Ended::Abandoned);
    let mut client = Client::new(settings(), async { Close::new(1001, "going") });
    assert_eq!(client.next().await, Some(Event::Close(Close::new(1001, "going"))));
    assert_eq!(client.app.receive().await, Received::Close(Close::new(1001, "going")));
}
