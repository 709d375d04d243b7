use proptest::prelude::*;

use super::*;

/// A frame as a client sends it.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(Role::Client).frame(first & 0x0f, payload, &mut out);
    out[0] = first;
    out
}

/// All events that come of these bytes, given in pieces of `step`.
fn decode(bytes: &[u8], step: usize) -> Result<Vec<Event>, Violation> {
    let mut decoder = Decoder::new(Role::Server, 1000);
    let (mut input, mut events) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(step) {
        input.extend_from_slice(piece);
        while let Some(event) = decoder.next(&mut input)? {
            events.push(event);
        }
    }
    Ok(events)
}

fn text(text: &str) -> Event {
    Event::Message(Message::Text(text.into()))
}

#[test]
fn messages_come_whole_with_control_frames_between_their_fragments() {
    let bytes = [
        client(0x01, "h\u{e9}".as_bytes().split_at(2).0),
        client(0x89, b"ping"),
        client(0x00, &[]),
        client(0x80, "h\u{e9}!".as_bytes().split_at(2).1),
        client(0x82, &[7; 200]),
        client(0x8a, b""),
        client(0x81, b""),
        client(0x88, &[3, 0xe8, b'o', b'k']),
    ]
    .concat();
    for step in [1, 2, 3, 7, 1000] {
        let events = decode(&bytes, step).unwrap();
        let expected = [
            Event::Ping(b"ping".to_vec()),
            text("h\u{e9}!"),
            Event::Message(Message::Binary(vec![7; 200])),
            Event::Pong,
            text(""),
            Event::Close(Close::new(1000, "ok")),
        ];
        assert_eq!(events, expected, "{step}");
    }
    assert_eq!(decode(&client(0x88, b""), 1).unwrap(), [Event::Close(Close::new(1005, ""))]);
}

#[test]
fn what_must_not_be_sent_is_found() {
    let protocol: [(&str, Vec<u8>); 12] = [
        ("not masked", vec![0x81, 0x01, b'a']),
        ("reserved bit", client(0xc1, b"a")),
        ("reserved opcode", client(0x83, b"a")),
        ("reserved control opcode", client(0x8b, b"a")),
        ("fragmented control", client(0x09, b"a")),
        ("long control", client(0x89, &[0; 126])),
        ("continuation of nothing", client(0x80, b"a")),
        ("message within a message", [client(0x01, b"a"), client(0x81, b"b")].concat()),
        ("length with the highest bit", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
        ("half a code", client(0x88, &[3])),
        ("code that is never sent", client(0x88, &1005u16.to_be_bytes())),
        ("code nobody knows", client(0x88, &2999u16.to_be_bytes())),
    ];
    for (what, bytes) in protocol {
        for step in [1, 100] {
            assert_eq!(decode(&bytes, step).unwrap_err().code(), 1002, "{what}");
        }
    }
    for bytes in [
        client(0x81, b"\xff"),
        client(0x81, b"\xc3"),
        client(0x01, b"\xc3\x28"),
        client(0x81, b"\xed\xa0\x80"),
        client(0x88, &[3, 0xe8, 0xff]),
    ] {
        assert_eq!(decode(&bytes, 3).unwrap_err(), Violation::Utf8, "{bytes:?}");
    }
    let split = [client(0x01, b"a\xf0\x9f"), client(0x80, b"\x98\x80")].concat();
    assert_eq!(decode(&split, 100).unwrap(), [text("a\u{1f600}")]);
}

#[test]
fn a_message_too_long_is_refused_by_its_announced_length() {
    let exact = client(0x82, &[0; 1000]);
    assert_eq!(decode(&exact, 100).unwrap().len(), 1);
    let huge = [0x82, 0xff, 0, 0, 0x10, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(decode(&huge, 100).unwrap_err().code(), 1009);
    let fragments = [client(0x02, &[0; 600]), client(0x80, &[0; 401])].concat();
    assert_eq!(decode(&fragments, 100).unwrap_err(), Violation::TooLong { limit: 1000 });
}

#[test]
fn a_client_refuses_masks() {
    let mut decoder = Decoder::new(Role::Client, 10);
    assert_eq!(decoder.next(&mut BytesMut::from(&client(0x81, b"a")[..])).unwrap_err().code(), 1002);
}

#[test]
fn closes_are_written_as_they_may_be() {
    let written = |close: Close| {
        let mut out = Vec::new();
        Encoder::new(Role::Server).close(&close, &mut out);
        out
    };
    assert_eq!(written(Close::new(1005, "")), [0x88, 0]);
    assert_eq!(written(Close::new(1000, "a")), [0x88, 3, 3, 0xe8, b'a']);
    assert_eq!(written(Close::new(4000, &"\u{e9}".repeat(100))).len(), 2 + 2 + 122);
}

proptest! {
    #[test]
    fn what_is_written_is_read_whatever_the_pieces(
        payload in proptest::collection::vec(any::<u8>(), 0..900),
        step in 1usize..300,
    ) {
        let message = Message::Binary(payload);
        let mut bytes = Vec::new();
        Encoder::new(Role::Client).message(&message, &mut bytes);
        prop_assert_eq!(decode(&bytes, step).unwrap(), [Event::Message(message)]);
    }

    #[test]
    fn nonsense_neither_panics_nor_passes_the_limit(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for event in decode(&bytes, 50).unwrap_or_default() {
            if let Event::Message(message) = event {
                prop_assert!(message.len() <= 1000);
            }
        }
    }
}
