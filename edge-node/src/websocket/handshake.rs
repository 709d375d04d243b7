//! Opening handshakes (RFC 6455 §4.2 over HTTP/1.1, RFC 8441 over HTTP/2). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::errors::EdgeError;
use crate::headers::has;

/// A request for a WebSocket that can be granted.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Over HTTP/1.1: what `Sec-WebSocket-Accept` has to say.
    Http1(HeaderValue),
    /// Over HTTP/2.
    Http2,
}

/// What a request asks for: `None` when it is an ordinary one, an error when it asks for a WebSocket in a wrong way.
pub fn detect(parts: &Parts) -> Result<Option<Handshake>, EdgeError> {
    let wrong = |problem| Err(EdgeError::WebSocketHandshake(problem));
    if parts.method == Method::CONNECT {
        return match parts.extensions.get::<Protocol>() {
            Some(protocol) if protocol.as_str() == "websocket" => {
                check_version(&parts.headers)?;
                Ok(Some(Handshake::Http2))
            }
            Some(protocol) => Err(EdgeError::ProtocolUnknown(protocol.as_str().chars().take(40).collect())),
            None => Ok(None),
        };
    }
    let asks = parts.version == Version::HTTP_11
        && has_token(&parts.headers, &UPGRADE, "websocket")
        && has_token(&parts.headers, &CONNECTION, "upgrade");
    if !asks {
        return Ok(None);
    }
    if parts.method != Method::GET {
        return wrong("the method must be GET");
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) || parts.headers.get(CONTENT_LENGTH).is_some_and(|n| n != "0") {
        return wrong("a request for a WebSocket has no body");
    }
    check_version(&parts.headers)?;
    let mut keys = parts.headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return wrong("there must be one Sec-WebSocket-Key");
    };
    if STANDARD.decode(key).map_or(true, |key| key.len() != 16) {
        return wrong("Sec-WebSocket-Key must be 16 bytes in base64");
    }
    Ok(Some(Handshake::Http1(accept(key))))
}

fn check_version(headers: &HeaderMap) -> Result<(), EdgeError> {
    match headers.get(SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => Ok(()),
        _ => Err(EdgeError::WebSocketVersion),
    }
}

/// The proof that a handshake was understood (RFC 6455 §4.2.2).
pub fn accept(key: &HeaderValue) -> HeaderValue {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let text = STANDARD.encode(digest.finish());
    HeaderValue::from_str(&text).expect("base64 is visible ASCII")
}

/// Whether a field's comma-separated value has `token`, in whatever case.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    if !has(headers, name) {
        return false;
    }
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

impl Handshake {
    /// What the app sees of the request: `GET` with `Upgrade: websocket`, over whichever version it came.
    pub fn show(&self, parts: &mut Parts) {
        parts.method = Method::GET;
        parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Frames are this node's business, so no extension of them reaches the app.
        parts.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    }

    /// Status and headers of the answer that grants the request, from the app's.
    pub fn grant(self, headers: &mut HeaderMap) -> StatusCode {
        headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        headers.remove(CONTENT_LENGTH);
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        match self {
            Self::Http1(accept) => {
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
                StatusCode::SWITCHING_PROTOCOLS
            }
            Self::Http2 => StatusCode::OK,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_handshake_of_the_rfc_is_granted() {
        let handshake = detect(&parts(&GOOD)).unwrap().unwrap();
        assert_eq!(handshake, Handshake::Http1(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate"));
        assert_eq!(handshake.grant(&mut headers), 101);
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn ordinary_requests_are_none() {
        for left_out in 0..2 {
            let fields: Vec<_> = GOOD.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, f)| *f).collect();
            assert_eq!(detect(&parts(&fields)), Ok(None));
        }
        assert_eq!(detect(&parts(&[("upgrade", "h2c"), ("connection", "upgrade")])), Ok(None));
    }

    #[test]
    fn wrong_handshakes_are_refused() {
        let with = |name: &'static str, value: &'static str| {
            let mut fields = GOOD.to_vec();
            fields.retain(|(kept, _)| *kept != name);
            fields.push((name, value));
            detect(&parts(&fields)).unwrap_err()
        };
        assert_eq!(with("sec-websocket-version", "8"), EdgeError::WebSocketVersion);
        for (name, value) in [("sec-websocket-key", "short"), ("content-length", "3"), ("transfer-encoding", "chunked")]
        {
            assert!(matches!(with(name, value), EdgeError::WebSocketHandshake(_)), "{name}");
        }
        let mut post = parts(&GOOD);
        post.method = Method::POST;
        assert!(matches!(detect(&post), Err(EdgeError::WebSocketHandshake(_))));
        let mut twice = parts(&GOOD);
        twice.headers.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(matches!(detect(&twice), Err(EdgeError::WebSocketHandshake(_))));
    }
}
