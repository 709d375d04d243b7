use proptest::prelude::*;

use super::*;

fn framing() -> Framing {
    Framing::new(64 << 10)
}

fn refusal(text: &str) -> Option<Rule> {
    framing().advance(text.as_bytes()).broken
}

fn head(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn good_requests_pass_whole() {
    for (text, heads) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("\r\nGET / HTTP/1.0\r\n\r\nGET /b HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\ncontent-LENGTH:  3 \r\nExpect: 100-Continue\r\n\r\nabcGET / HTTP/1.1\r\n\r\n", 2),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=\"b c\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\
             T: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            2,
        ),
    ] {
        let mut framing = framing();
        assert_eq!(framing.advance(text.as_bytes()), Progress { good: text.len(), broken: None }, "{text:?}");
        assert_eq!((framing.heads(), framing.is_between_requests()), (heads, true), "{text:?}");
    }
    let mut framing = framing();
    let text = [PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
    assert_eq!(framing.advance(&text[..20]).good, 0);
    assert_eq!(framing.advance(&text), Progress { good: text.len(), broken: None });
    assert!(framing.is_http2());
}

#[test]
fn every_rule_has_its_refusal() {
    let long = "a".repeat(17 << 10);
    let many: String = (0..101).map(|at| format!("x-{at}: 1\r\n")).collect();
    let chunked = |body: &str| format!("{}{body}", head("Transfer-Encoding: chunked\r\n"));
    let extensions = format!("1;{}\r\na\r\n", "x".repeat(400)).repeat(11);
    for (text, rule) in [
        ("\x16\x03\x01".to_owned(), Rule::RequestLine),
        ("NONSENSE\r\n\r\n".into(), Rule::RequestLine),
        ("GET  / HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET /a b HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("G\u{e4}T / HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET / http/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET hello HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET a:80 HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET * HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("OPTIONS *?a HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET /a#b HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET http://a/#b HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET ftp://a/ HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET ://a/ HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET http:/a HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET http:///a HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("CONNECT /a HTTP/1.1\r\n\r\n".into(), Rule::RequestLine),
        ("GET / HTTP/2.0\r\n\r\n".into(), Rule::Version),
        ("GET / HTTP/1.2\r\n\r\n".into(), Rule::Version),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), Rule::TargetTooLong),
        (format!("GET /{long}"), Rule::TargetTooLong),
        (head(&format!("x: {}\r\n", "a".repeat(64 << 10))), Rule::HeadTooLarge),
        (head(&many), Rule::TooManyHeaders),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), Rule::LineEnd),
        ("\nGET / HTTP/1.1\r\n\r\n".into(), Rule::LineEnd),
        (head("x: a\rb\r\n"), Rule::LineEnd),
        (head("x: a\0b\r\n"), Rule::LineEnd),
        (head("x: a\r\r\n"), Rule::LineEnd),
        (head("x: a\nContent-Length: 3\r\n"), Rule::LineEnd),
        (head("x: a\r\n folded\r\n"), Rule::Folded),
        (head("x: a\r\n\tfolded\r\n"), Rule::Folded),
        (head("Content-Length : 3\r\n"), Rule::Header),
        (head("no colon\r\n"), Rule::Header),
        (head(": empty\r\n"), Rule::Header),
        (head("x: \x01\r\n"), Rule::Header),
        (head("Content-Length: 3\r\nContent-Length: 3\r\n"), Rule::Length),
        (head("Content-Length: 3, 3\r\n"), Rule::Length),
        (head("Content-Length: +3\r\n"), Rule::Length),
        (head("Content-Length: -1\r\n"), Rule::Length),
        (head("Content-Length: 0x3\r\n"), Rule::Length),
        (head("Content-Length:\r\n"), Rule::Length),
        (head("Content-Length: 99999999999999999999\r\n"), Rule::Length),
        (head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), Rule::LengthAndChunked),
        (head("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), Rule::LengthAndChunked),
        (head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Rule::Coding),
        (head("Transfer-Encoding: gzip, chunked\r\n"), Rule::Coding),
        (head("Transfer-Encoding: xchunked\r\n"), Rule::Coding),
        (head("Transfer-Encoding: identity\r\n"), Rule::Coding),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), Rule::Coding),
        (head("Expect: 200-ok\r\n"), Rule::Expectation),
        (chunked("x\r\n"), Rule::Chunk),
        (chunked("-1\r\n"), Rule::Chunk),
        (chunked("0x3\r\nabc\r\n"), Rule::Chunk),
        (chunked("3 \r\nabc\r\n"), Rule::Chunk),
        (chunked("ffffffffffffffff\r\n"), Rule::Chunk),
        (chunked("00000000000000000003\r\nabc\r\n"), Rule::Chunk),
        (chunked("3\r\nabcd\r\n"), Rule::Chunk),
        (chunked("3\nabc\r\n"), Rule::LineEnd),
        (chunked("3;a\x01\r\nabc\r\n"), Rule::Chunk),
        (chunked("3;a\nabc\r\n"), Rule::LineEnd),
        (chunked(&format!("3;{}", "a".repeat(600))), Rule::ChunkExtension),
        (chunked(&extensions), Rule::ChunkExtension),
        (chunked("0\r\nbad trailer\r\n\r\n"), Rule::Header),
        (chunked("0\r\na: b\r\n folded\r\n\r\n"), Rule::Folded),
        (chunked(&format!("0\r\na: {}\r\n\r\n", "a".repeat(20 << 10))), Rule::HeadTooLarge),
    ] {
        let shown: String = text.chars().take(100).collect();
        assert_eq!(refusal(&text), Some(rule), "{shown:?}");
    }
}

/// What hyper refuses it answers without a code, so that has to be refused before.
#[test]
fn no_target_passes_that_hyper_refuses() {
    let passes = |target: &[u8]| {
        let text = [b"GET ", target, b" HTTP/1.1\r\n\r\n"].concat();
        framing().advance(&text).broken.is_none()
    };
    let bytes = (0..=255).map(|byte| vec![byte]);
    let characters = ["é", "日", "\u{10ffff}"].map(|text| text.as_bytes().to_vec());
    for odd in bytes.chain(characters) {
        for [before, after] in [["/a", "b"], ["/?a", "b"], ["http://a/", "b"], ["http://a/?", ""], ["http://a", "b"]] {
            let target = [before.as_bytes(), &odd, after.as_bytes()].concat();
            let shown = String::from_utf8_lossy(&target);
            assert!(!passes(&target) || Uri::try_from(&target[..]).is_ok(), "{shown:?}");
            // Browsers send these (URL §1.3).
            if before.starts_with('/') && odd[0].is_ascii_graphic() && !b"\"#<>`".contains(&odd[0]) {
                assert!(passes(&target), "{shown:?}");
            }
        }
    }
    assert!(passes("/é?日".as_bytes()) && passes(b"/a?b`c?d") && passes(b"HTTPS://a:81?b"));
}

#[test]
fn nothing_of_a_refused_request_is_good() {
    let text = format!("GET / HTTP/1.1\r\n\r\n{}", head("x: a\r\n b\r\n"));
    assert_eq!(framing().advance(text.as_bytes()), Progress { good: 18, broken: Some(Rule::Folded) });
}

/// Which rule is broken does not depend on what has arrived when that is seen.
#[test]
fn limits_are_the_same_byte_by_byte() {
    let body = |body: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for text in [
        "G".repeat(2000),
        format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2000)),
        format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(2000)),
        body("z\n"),
        body("1111111111111111\n"),
        body("11111111111111111\n"),
        body(&format!("1;{}\r\n", "a".repeat(600))),
    ] {
        let new = || Framing::new(1 << 10);
        let whole = new().advance(text.as_bytes());
        assert!(whole.broken.is_some());
        let (mut framing, mut good) = (new(), 0);
        let bytewise = (1..=text.len()).find_map(|end| {
            let progress = framing.advance(&text.as_bytes()[good..end]);
            good += progress.good;
            progress.broken.map(|broken| Progress { good, broken: Some(broken) })
        });
        assert_eq!(bytewise, Some(whole), "{:?}", &text[..40.min(text.len())]);
    }
}

/// A stream of requests, good or not.
fn streams() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "hello",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "x: y\r\n",
        " ",
        "\n",
        "\r",
        "5;a=b\r\n",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// However the bytes are cut, the outcome is the same.
    #[test]
    fn cuts_make_no_difference(text in streams(), cuts in prop::collection::vec(1usize..9, 1..40)) {
        let whole = framing().advance(text.as_bytes());
        let mut framing = framing();
        let (mut good, mut shown, mut broken) = (0, 0, None);
        let mut cuts = cuts.iter().cycle();
        while shown < text.len() && broken.is_none() {
            shown = (shown + cuts.next().unwrap()).min(text.len());
            let progress = framing.advance(&text.as_bytes()[good..shown]);
            good += progress.good;
            broken = progress.broken;
        }
        prop_assert_eq!(broken, whole.broken);
        if broken.is_none() {
            prop_assert_eq!(good, whole.good);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut framing = framing();
        let progress = framing.advance(&bytes);
        prop_assert!(progress.good <= bytes.len());
    }
}
