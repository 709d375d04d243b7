//! Frames as clients send them, whole and in pieces.

use std::time::Duration;

use super::*;

const WINDOW_UPDATE: u8 = 8;

fn frame_on(stream: u32, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
    frame_on(1, kind, flags, &vec![0; payload])
}

/// A connection that has begun with its settings.
fn begun(now: Instant) -> Frames {
    let mut frames = Frames::new(64 << 10, now);
    advance(&mut frames, &frame(SETTINGS, 0, 0), now).unwrap();
    frames
}

/// What h2 is given of some bytes.
fn advance(frames: &mut Frames, bytes: &[u8], now: Instant) -> Result<Vec<u8>, Offence> {
    let mut changed = Vec::new();
    let good = frames.advance(bytes, &mut changed, || now)?;
    Ok([&bytes[..good], &changed].concat())
}

#[test]
fn settings_come_first() {
    let start = Instant::now();
    for kind in (0..=20).filter(|kind| *kind != SETTINGS) {
        assert_eq!(
            advance(&mut Frames::new(64 << 10, start), &frame(kind, 1, 8), start),
            Err(Offence::Preface),
            "{kind}"
        );
        advance(&mut begun(start), &frame(kind, 1, 8), start).unwrap();
    }
}

#[test]
fn floods_are_told_and_slow_clients_are_not() {
    let start = Instant::now();
    for (kind, flood) in
        [(RST_STREAM, Offence::Resets), (PING, Offence::Idle), (SETTINGS, Offence::Idle), (PRIORITY, Offence::Idle)]
    {
        let bytes = frame(kind, 0, 8);
        let mut frames = begun(start);
        let told = (0..2000).find_map(|_| advance(&mut frames, &bytes, start).err());
        assert_eq!(told, Some(flood));
        let mut frames = begun(start);
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            for _ in 0..49 {
                advance(&mut frames, &bytes, now).unwrap();
            }
        }
    }
}

#[test]
fn what_carries_something_is_not_counted_however_it_is_cut() {
    let start = Instant::now();
    let mut bytes = Vec::new();
    for _ in 0..3000 {
        bytes.extend(frame(DATA, 0, 5));
        bytes.extend(frame(PING, 1, 8));
        bytes.extend(frame(DATA, END_STREAM, 0));
    }
    let (mut frames, mut given) = (begun(start), Vec::new());
    for piece in bytes.chunks(7) {
        given.extend(advance(&mut frames, piece, start).unwrap());
    }
    assert!(given == bytes);
    assert_eq!((frames.filled, frames.payload), (0, 0));
}

/// What h2 is given, whatever the pieces in which the bytes come.
fn given(bytes: &[u8]) -> Vec<u8> {
    let now = Instant::now();
    let whole = advance(&mut begun(now), bytes, now).unwrap();
    for size in 1..bytes.len() {
        let (mut frames, mut parts) = (begun(now), Vec::new());
        for piece in bytes.chunks(size) {
            parts.extend(advance(&mut frames, piece, now).unwrap());
        }
        assert_eq!(parts, whole, "in pieces of {size}");
    }
    whole
}

#[test]
fn trailers_are_marked_and_nothing_else_is_changed() {
    let head = frame_on(3, HEADERS, END_HEADERS, b"head");
    let other = [
        frame_on(1, HEADERS, END_HEADERS | END_STREAM, b"whole"),
        head.clone(),
        frame_on(5, HEADERS, 0, b"in "),
        frame_on(5, CONTINUATION, END_HEADERS, b"parts"),
        frame_on(3, DATA, 0, b"body"),
        frame_on(5, DATA, END_STREAM | PADDED, b"\x03body..."),
        frame_on(0, WINDOW_UPDATE, 0, &[0, 0, 0, 9]),
        // Streams that have ended, or never began, are for h2 to see.
        frame_on(5, HEADERS, END_HEADERS | END_STREAM, b"late"),
        frame_on(1, HEADERS, END_HEADERS | END_STREAM, b"late"),
        frame_on(2, HEADERS, END_HEADERS | END_STREAM, b"never"),
    ]
    .concat();
    assert_eq!(given(&other), other);
    let marked = |flags: u8, payload: &[u8], first: &[u8], fields: &[u8]| {
        let after = frame_on(0, PING, 1, b"whatever");
        let sent = [&other[..], &frame_on(3, HEADERS, flags, payload), &after].concat();
        let due = [
            &other[..],
            &frame_on(3, HEADERS, flags & (END_STREAM | PRIORITIZED), first),
            &frame_on(3, CONTINUATION, flags & END_HEADERS, fields),
            &after,
        ];
        assert_eq!(given(&sent), due.concat(), "{flags}");
    };
    let (whole, mark) = (END_STREAM | END_HEADERS, MARK_INDEXED);
    marked(whole, b"fields", &[mark], b"fields");
    marked(whole, b"", &[mark], b"");
    marked(END_STREAM, b"fie", &[mark], b"fie");
    marked(whole | PADDED, b"\x02fields..", &[mark], b"fields");
    marked(whole | PADDED, b"\x00fields", &[mark], b"fields");
    marked(whole | PADDED, b"\x02..", &[mark], b"");
    marked(whole | PRIORITIZED, b"12345fields", b"12345\x8f", b"fields");
    marked(whole | PRIORITIZED | PADDED, b"\x0112345fields.", b"12345\x8f", b"fields");
    // What has no room for what it says it has goes on as it is, and what begins with a change of the table's size.
    for (flags, payload) in [
        (PADDED, &b"\x04..."[..]),
        (PADDED, b""),
        (PRIORITIZED, b"1234"),
        (PRIORITIZED | PADDED, b"\x0112345"),
        (0, b"\x20fields"),
        (PRIORITIZED | PADDED, b"\x0112345\x3f\xe1\x1ffields."),
    ] {
        let wrong = frame_on(3, HEADERS, whole | flags, payload);
        let sent = [&head[..], &wrong, &frame_on(0, PING, 1, b"whatever")].concat();
        assert_eq!(given(&sent), sent, "{flags}");
    }
}

#[test]
fn streams_that_clients_leave_open_are_bounded() {
    let now = Instant::now();
    let mut frames = begun(now);
    for at in 0..5000 {
        advance(&mut frames, &frame_on(2 * at + 1, HEADERS, END_HEADERS, b"head"), now).unwrap();
    }
    assert_eq!((frames.open.len(), frames.open[MAX_OPEN - 1]), (MAX_OPEN, 9999));
    let trailers = frame_on(9999, HEADERS, END_HEADERS | END_STREAM, b"fields");
    assert_ne!(advance(&mut frames, &trailers, now).unwrap(), trailers);
}
