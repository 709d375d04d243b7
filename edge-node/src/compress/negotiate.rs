//! Which content codings a client takes (RFC 9110 §12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use atoll_http_cache::fields::has;

/// A content coding that this node makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// The order for content that is compressed once and sent often: the smallest first.
    pub const SMALLEST: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];
    /// The order for content that is compressed as it is sent: the fastest first.
    pub const FASTEST: [Self; 3] = [Self::Zstd, Self::Gzip, Self::Brotli];

    /// Its name in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The same as a header's value.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// A client's weights, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    brotli: u16,
    zstd: u16,
    gzip: u16,
    /// `None` when the client does not say, and then it is acceptable but the last choice.
    identity: Option<u16>,
}

impl Accepts {
    /// What a request says. Without the field nothing but identity is sent, as clients expect that cannot decode.
    pub fn of(headers: &HeaderMap) -> Self {
        if !has(headers, &ACCEPT_ENCODING) {
            return Self::default();
        }
        let (mut named, mut any) = ([None; 4], None);
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let name = name.trim();
            let weight = weight(parameters);
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            match () {
                () if is("br") => named[0] = Some(weight),
                () if is("zstd") => named[1] = Some(weight),
                () if is("gzip") || is("x-gzip") => named[2] = Some(weight),
                () if is("identity") => named[3] = Some(weight),
                () if name == "*" => any = Some(weight),
                () => {}
            }
        }
        let of = |at: usize| named[at].or(any);
        let coding = |at| of(at).unwrap_or(0);
        Self { brotli: coding(0), zstd: coding(1), gzip: coding(2), identity: of(3) }
    }

    /// Whether anything can be compressed for the client.
    pub fn any(&self) -> bool {
        self.brotli | self.zstd | self.gzip != 0
    }

    /// The coding with the greatest weight, the first in `order` of those with the same; `None` when the client had
    /// rather have the content as it is.
    pub fn best(&self, order: [Coding; 3]) -> Option<Coding> {
        let weight = |coding| match coding {
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        let best = order.into_iter().map(weight).max().filter(|weight| *weight > 0)?;
        if self.identity.is_some_and(|identity| identity > best) {
            return None;
        }
        order.into_iter().find(|coding| weight(*coding) == best)
    }
}

/// The weight of parameters (RFC 9110 §12.4.2), in thousandths. What is not a weight counts as a refusal.
fn weight(parameters: &str) -> u16 {
    for parameter in parameters.split(';') {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if !name.trim().eq_ignore_ascii_case("q") {
            continue;
        }
        let value = value.trim();
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = format!("{fraction:0<3}").parse::<u16>().unwrap_or(0);
        return match whole {
            "1" if digits && fraction == 0 => 1000,
            "0" if digits => fraction,
            _ => 0,
        };
    }
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(lines: &[&'static str]) -> Option<&'static str> {
        let headers = lines.iter().map(|line| (ACCEPT_ENCODING, HeaderValue::from_static(line))).collect();
        Accepts::of(&headers).best(Coding::SMALLEST).map(Coding::as_str)
    }

    #[test]
    fn the_greatest_weight_wins_and_identity_counts() {
        for (lines, coding) in [
            (&[][..], None),
            (&[""], None),
            (&["gzip"], Some("gzip")),
            (&["gzip, deflate, br, zstd"], Some("br")),
            (&["gzip", "br;q=0.5"], Some("gzip")),
            (&["br;q=0, *"], Some("zstd")),
            (&["*"], Some("br")),
            (&["*;q=0"], None),
            (&["*;q=0, gzip;q=0.001"], Some("gzip")),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some("gzip")),
            (&["identity;q=0"], None),
            (&["identity;q=0, gzip;q=0.1"], Some("gzip")),
            (&["identity"], None),
            (&["X-GZIP ; Q=1.000"], Some("gzip")),
            (&["gzip;q=2"], None),
            (&["gzip;q=1.5"], None),
            (&["gzip;q=0.1234"], None),
            (&["gzip;q=nan, br;q=-1"], None),
            (&["deflate, compress"], None),
            (&["gzip;level=9"], Some("gzip")),
        ] {
            assert_eq!(best(lines), coding, "{lines:?}");
        }
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"))]);
        assert_eq!(Accepts::of(&headers).best(Coding::FASTEST), Some(Coding::Zstd));
        assert!(!Accepts::of(&HeaderMap::new()).any());
    }
}
