//! Whether a request that failed is sent once more: only where the origin cannot have acted on it, or acting twice is
//! the same as once.

use http::Method;

/// How a request failed on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// No byte of it was sent.
    Unsent,
    /// The connection ended before a byte of the answer came.
    Unanswered,
    /// Anything else: a time-out, nonsense for an answer, a body that failed.
    Otherwise,
}

/// What is known of the request.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Whether it has a body.
    pub has_body: bool,
    /// Whether the connection had carried another one before: then the origin may have closed it just as this one came
    /// (RFC 9112 §9.3.1).
    pub reused: bool,
    /// How often it has been sent before.
    pub retries: u32,
}

/// Connections that idled too long can be many; each costs a try.
const MOST: u32 = 3;

/// Whether it is sent again, then on another connection.
pub fn again(lost: Lost, sent: Sent<'_>) -> bool {
    match lost {
        Lost::Unsent => sent.reused && sent.retries < MOST,
        Lost::Unanswered => sent.reused && !sent.has_body && is_idempotent(sent.method) && sent.retries < MOST,
        Lost::Otherwise => false,
    }
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(method: &Method) -> Sent<'_> {
        Sent { method, has_body: false, reused: true, retries: 0 }
    }

    #[test]
    fn what_never_left_is_sent_again_whatever_it_is() {
        let post = Sent { has_body: true, ..sent(&Method::POST) };
        assert!(again(Lost::Unsent, post));
        assert!(!again(Lost::Unsent, Sent { reused: false, ..post }), "a new connection that fails is no accident");
        assert!(!again(Lost::Unsent, Sent { retries: MOST, ..post }));
    }

    #[test]
    fn what_may_have_arrived_is_sent_again_only_if_that_does_no_harm() {
        assert!(again(Lost::Unanswered, sent(&Method::GET)));
        assert!(again(Lost::Unanswered, sent(&Method::DELETE)));
        assert!(!again(Lost::Unanswered, sent(&Method::POST)));
        assert!(!again(Lost::Unanswered, sent(&Method::PATCH)));
        assert!(!again(Lost::Unanswered, Sent { has_body: true, ..sent(&Method::PUT) }));
        assert!(!again(Lost::Unanswered, Sent { reused: false, ..sent(&Method::GET) }));
        assert!(!again(Lost::Otherwise, sent(&Method::GET)));
    }
}
