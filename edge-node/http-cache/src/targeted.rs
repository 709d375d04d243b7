//! Targeted fields (RFC 9213): `CDN-Cache-Control` and this platform's own, which go before `Cache-Control`.
//!
//! They are Dictionaries of Structured Fields (RFC 8941 §3.2), read strictly: what does not parse is as good as absent.

use http::{HeaderMap, HeaderName};

use crate::cache_control::{MAX_SECONDS, ResponseDirectives};

/// For this platform alone. It is taken out of answers.
pub const ATOLL_CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("atoll-cdn-cache-control");
/// For every cache of its kind (RFC 9213 §3.1). It stays in answers, for caches further down.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives of the first targeted field, in the order of the target list, that is there, valid and not empty
/// (RFC 9213 §2.2).
pub fn of_response(headers: &HeaderMap) -> Option<ResponseDirectives> {
    [ATOLL_CDN_CACHE_CONTROL, CDN_CACHE_CONTROL].iter().find_map(|name| {
        let mut joined = Vec::new();
        for value in headers.get_all(name) {
            if !joined.is_empty() {
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(value.as_bytes());
        }
        parse(&joined)
    })
}

/// The directives of a targeted field's value; `None` when it is empty or does not parse. A directive of the wrong type
/// is ignored, and so are parameters (RFC 9213 §2.1).
pub fn parse(value: &[u8]) -> Option<ResponseDirectives> {
    let members = Parser { text: value, at: 0 }.dictionary()?;
    if members.is_empty() {
        return None;
    }
    let mut directives = ResponseDirectives::default();
    for (key, item) in members {
        match (&*key, item) {
            (b"max-age", Item::Integer(seconds)) => directives.max_age = Some(age(seconds)),
            (b"s-maxage", Item::Integer(seconds)) => directives.s_maxage = Some(age(seconds)),
            (b"stale-while-revalidate", Item::Integer(seconds)) => {
                directives.stale_while_revalidate = Some(age(seconds));
            }
            (b"stale-if-error", Item::Integer(seconds)) => directives.stale_if_error = Some(age(seconds)),
            (b"no-store", Item::Boolean(set)) => directives.no_store = set,
            (b"no-cache", Item::Boolean(set)) => directives.no_cache = set,
            (b"private", Item::Boolean(set)) => directives.private = set,
            (b"public", Item::Boolean(set)) => directives.public = set,
            (b"must-revalidate", Item::Boolean(set)) => directives.must_revalidate = set,
            (b"proxy-revalidate", Item::Boolean(set)) => directives.proxy_revalidate = set,
            (b"must-understand", Item::Boolean(set)) => directives.must_understand = set,
            _ => {}
        }
    }
    Some(directives)
}

/// A negative age is no delta-seconds: it is stale at once.
fn age(seconds: i64) -> u64 {
    u64::try_from(seconds).map_or(0, |seconds| seconds.min(MAX_SECONDS))
}

#[derive(Debug)]
enum Item {
    Integer(i64),
    Boolean(bool),
    /// Any other type: no directive has it.
    Other,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn dictionary(mut self) -> Option<Vec<(Vec<u8>, Item)>> {
        let mut members: Vec<(Vec<u8>, Item)> = Vec::new();
        self.skip(|byte| byte == b' ');
        while self.peek().is_some() {
            let key = self.key()?;
            let item = if self.eat(b'=') { self.item_or_inner_list()? } else { Item::Boolean(true) };
            self.parameters()?;
            // Of a key that is there twice the last counts.
            members.retain(|(known, _)| *known != key);
            members.push((key, item));
            self.skip(is_whitespace);
            if self.peek().is_none() {
                return Some(members);
            }
            if !self.eat(b',') {
                return None;
            }
            self.skip(is_whitespace);
            // A comma at the end is an error.
            self.peek()?;
        }
        Some(members)
    }

    fn key(&mut self) -> Option<Vec<u8>> {
        let start = self.at;
        if !self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*') {
            return None;
        }
        self.skip(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte));
        Some(self.text[start..self.at].to_vec())
    }

    fn item_or_inner_list(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.bare_item();
        }
        loop {
            self.skip(|byte| byte == b' ');
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip(|byte| byte == b' ');
            self.key()?;
            if self.eat(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn bare_item(&mut self) -> Option<Item> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'?' => {
                self.at += 1;
                let set = self.eat(b'1');
                (set || self.eat(b'0')).then_some(Item::Boolean(set))
            }
            b'"' => {
                self.at += 1;
                loop {
                    let byte = self.peek()?;
                    self.at += 1;
                    match byte {
                        b'"' => return Some(Item::Other),
                        b'\\' => {
                            let escaped = self.peek()?;
                            self.at += 1;
                            if !matches!(escaped, b'"' | b'\\') {
                                return None;
                            }
                        }
                        0x20..=0x7e => {}
                        _ => return None,
                    }
                }
            }
            b':' => {
                self.at += 1;
                self.skip(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.eat(b':').then_some(Item::Other)
            }
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.eat(b'-');
        let start = self.at;
        self.skip(|byte| byte.is_ascii_digit());
        let digits = &self.text[start..self.at];
        if self.eat(b'.') {
            let fraction = self.at;
            self.skip(|byte| byte.is_ascii_digit());
            let valid = (1..=12).contains(&digits.len()) && (1..=3).contains(&(self.at - fraction));
            return valid.then_some(Item::Other);
        }
        if !(1..=15).contains(&digits.len()) {
            return None;
        }
        let value = digits.iter().fold(0, |sum: i64, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Item::Integer(if negative { -value } else { value }))
    }
}

fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_dictionary_of_directives_is_read() {
        let read = parse(b"max-age=60;x=\"y\", must-revalidate, no-store=?0, a=(b \"c\" 1.5), z=:aGk=:").unwrap();
        assert_eq!((read.max_age, read.must_revalidate, read.no_store), (Some(60), true, false));
        assert_eq!(parse(b"max-age=1, max-age=2").unwrap().max_age, Some(2), "the last of two counts");
        assert_eq!(parse(b"max-age=-1").unwrap().max_age, Some(0));
    }

    #[test]
    fn a_directive_of_the_wrong_type_is_ignored() {
        for text in ["max-age=\"60\"", "max-age=6.0", "max-age=abc", "max-age", "max-age=(1)"] {
            assert_eq!(parse(text.as_bytes()).unwrap().max_age, None, "{text}");
        }
        assert!(!parse(b"no-store=1").unwrap().no_store);
    }

    #[test]
    fn what_does_not_parse_is_as_good_as_absent() {
        for text in ["", "  ", "Max-Age=60", "max-age=60,", "max-age=60 no-store", "max-age=", "a=\"", "a=\u{e9}", ",a"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn our_own_field_goes_before_the_general_one_unless_it_is_invalid() {
        let headers = |own: &'static str| {
            HeaderMap::from_iter([
                (ATOLL_CDN_CACHE_CONTROL, HeaderValue::from_static(own)),
                (CDN_CACHE_CONTROL, HeaderValue::from_static("max-age=7")),
            ])
        };
        assert_eq!(of_response(&headers("max-age=60")).unwrap().max_age, Some(60));
        assert_eq!(of_response(&headers("max-age=60,")).unwrap().max_age, Some(7));
        assert_eq!(of_response(&headers("")).unwrap().max_age, Some(7));
        assert!(of_response(&HeaderMap::new()).is_none());
    }
}
