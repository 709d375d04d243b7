use bytes::Bytes;

use super::*;
use crate::memory::Meter;

fn rewriter(handlers: &[(Option<&str>, u32)], encoding: &str) -> Rewriter {
    let handlers: Vec<_> =
        handlers.iter().map(|(selector, wants)| Registration(selector.map(str::to_owned), *wants)).collect();
    Rewriter::new(&handlers, encoding, Meter::default().start()).unwrap()
}

/// Runs a document through in chunks of `size` bytes, with `handle` for each token, which is then written.
fn run(rewriter: &mut Rewriter, document: &[u8], size: usize, mut handle: impl FnMut(&mut Rewriter)) -> Vec<u8> {
    let mut chunks = document.chunks(size);
    let mut output = Vec::new();
    loop {
        match rewriter.next().unwrap() {
            Step::Feed => match chunks.next() {
                Some(chunk) => rewriter.write(Bytes::copy_from_slice(chunk)),
                None => rewriter.end(),
            },
            Step::Flush => {}
            Step::Done => {
                output.extend_from_slice(&rewriter.take_output());
                return output;
            }
            Step::Handle(_) => {
                handle(rewriter);
                rewriter.emit_token(true);
            }
        }
        output.extend_from_slice(&rewriter.take_output());
    }
}

const DOCUMENT: &str = "<!DOCTYPE html><HTML lang=en><!-- c --><body data-a='x\"y' B  c=d/><p>one &amp; <b>two</b>\
    <br/>three<svg><path d=\"M\"/></svg><script>if (a<b) '</p>'</script></p><p>é😀</p ></body></html>\n";

#[test]
fn a_document_that_nobody_changes_stays_as_it_is() {
    for size in [1, 2, 7, 1000] {
        let mut all = rewriter(&[(Some("*"), 7), (None, 30), (Some("p"), 7)], "utf-8");
        let mut handled = 0;
        let output = run(&mut all, DOCUMENT.as_bytes(), size, |rewriter| {
            handled += 1;
            let _ = rewriter.watch();
        });
        assert_eq!(String::from_utf8(output).unwrap(), DOCUMENT, "in chunks of {size}");
        assert!(handled > 30, "{handled}");
    }
}

#[test]
fn attributes_are_read_and_changed_alone() {
    let mut body = rewriter(&[(Some("body"), 1)], "utf-8");
    let mut seen = Vec::new();
    let output = run(&mut body, DOCUMENT.as_bytes(), 16, |rewriter| {
        let (captured, encoding) = rewriter.current_encoded().unwrap();
        let Token::StartTag(tag) = &mut captured.token else { panic!("not a tag") };
        seen = tag.attributes(&captured.raw, encoding);
        assert_eq!(tag.attribute("DATA-A", &captured.raw, encoding).as_deref(), Some("x\"y"));
        assert_eq!(tag.attribute("é", &captured.raw, encoding), None);
        tag.set_attribute("C", "<\"é\">", &captured.raw, encoding).unwrap();
        tag.set_attribute("new", "", &captured.raw, encoding).unwrap();
        tag.remove_attribute("b", &captured.raw, encoding);
        assert!(tag.set_attribute("a b", "", &captured.raw, encoding).is_err());
    });
    assert_eq!(seen, ["data-a", "x\"y", "b", "", "c", "d/"]);
    let expected = DOCUMENT.replace("B  c=d/>", "c=\"<&quot;é&quot;>\" new=\"\">");
    assert_eq!(String::from_utf8(output).unwrap(), expected);
}

#[test]
fn hidden_content_and_end_tags() {
    let mut rewriting = rewriter(&[(Some("p"), 1)], "utf-8");
    let document = b"<p>1</p><p>2<p>3</div></p>4</p><p>5";
    let mut count = 0;
    let output = run(&mut rewriting, document, 3, |rewriter| {
        if rewriter.current().unwrap().token.kind() == token::Kind::StartTag {
            rewriter.emit_content(&format!("<{count}&>"), false);
            count += 1;
            rewriter.emit_token(true);
            rewriter.hide().unwrap();
            rewriter.watch().unwrap();
        } else {
            rewriter.rename("q").unwrap();
            rewriter.emit_content("<i>", true);
        }
    });
    assert_eq!(String::from_utf8(output).unwrap(), "&lt;0&amp;&gt;<p><i></q>&lt;1&amp;&gt;<p><i></q>&lt;3&amp;&gt;<p>");
}

#[test]
fn text_is_written_in_the_encoding_of_the_document() {
    let mut texts = rewriter(&[(None, 4)], "windows-1252");
    let mut seen = String::new();
    let output = run(&mut texts, b"<p title=\xe9>caf\xe9</p>", 4, |rewriter| {
        if let Token::Text { text, .. } = &rewriter.current().unwrap().token {
            seen.push_str(text);
            if text.contains('é') {
                rewriter.emit_content("€ ☃", true);
            }
        }
    });
    assert_eq!(seen, "café");
    assert_eq!(output, b"<p title=\xe9>c\x80 &#9731;af\xe9</p>");
    for label in ["utf-16", "iso-2022-jp", "nonsense", ""] {
        assert!(matches!(Rewriter::new(&[], label, Meter::default().start()), Err(RewriteError::Encoding(_))));
    }
}

#[test]
fn bytes_that_break_within_a_character() {
    let mut rewriting = rewriter(&[(None, 16)], "utf-8");
    let output = run(&mut rewriting, b"", 1, |rewriter| {
        let bytes = "<é😀>".as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            rewriter.emit_bytes(&[*byte], false, at == bytes.len() - 1);
        }
        rewriter.emit_bytes(b"\xf0\x9f", true, true);
    });
    assert_eq!(String::from_utf8(output).unwrap(), "&lt;é😀&gt;\u{fffd}");
}

#[test]
fn selectors_that_are_too_much_are_refused_and_the_largest_are_not_too_deep_for_the_stack() {
    for selector in ["", "p:", "a:hover(", "]", "p::before", ":has(a)", "a ++ b"] {
        assert!(select(selector).is_err(), "{selector}");
    }
    let deep = |n: usize| format!("{}a{}", ":not(".repeat(n), ")".repeat(n));
    for selector in [deep(1000), deep(100_000), "a>".repeat(1000) + "a", "a ".repeat(100_000), "[a".repeat(10_000)] {
        assert!(select(&selector).is_err());
    }
    // What is let through is small enough for a thread of 256 KiB, in the slowest build.
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let thread = small.spawn(move || {
        for selector in [deep(16), "a > ".repeat(64) + "a", "[a]".repeat(1000), "a,".repeat(1000) + "a"] {
            // What cannot be selected by is refused at the end of it.
            let selector = if select(&selector).is_ok() { &selector } else { "a" };
            let mut rewriter = rewriter(&[(Some(selector), 7)], "utf-8");
            run(&mut rewriter, "<a>".repeat(300).as_bytes(), 100, |_| {});
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn memory_is_counted_and_bounded() {
    let meter = Meter::default();
    let handlers = [Registration(Some("p".into()), 1)];
    let mut nested = Rewriter::new(&handlers, "utf-8", meter.start()).unwrap();
    let mut most = 0;
    let failure = loop {
        match nested.next() {
            Ok(Step::Feed) => nested.write(Bytes::from("<a>".repeat(10_000))),
            Ok(_) => {}
            Err(error) => break error,
        }
        nested.take_output();
        most = most.max(meter.bytes());
        assert!(most < 16 << 20, "{most} bytes");
    };
    assert!(matches!(failure, RewriteError::Memory), "{failure}");
    assert!(most >= 2 << 20, "{most} bytes");
    assert!(matches!(nested.next(), Err(RewriteError::Ended)));
    drop(nested);
    assert_eq!(meter.bytes(), 0);

    let mut comment = Rewriter::new(&handlers, "utf-8", meter.start()).unwrap();
    comment.write(Bytes::from_static(b"<p a='"));
    let failure = loop {
        match comment.next() {
            Ok(Step::Feed) => comment.write(Bytes::from(vec![b'x'; 100_000])),
            Ok(_) => {}
            Err(error) => break error,
        }
        assert!(meter.bytes() < 16 << 20);
    };
    assert!(matches!(failure, RewriteError::Memory), "{failure}");
}
