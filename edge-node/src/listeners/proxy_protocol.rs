//! The PROXY protocol, versions 1 and 2: what a trusted proxy says of the client before the connection's own bytes.
//! Written after haproxy's specification (proxy-protocol.txt, 2020/03/05).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// A version 1 line with its end (§2.1).
const MAX_LINE: usize = 107;
/// Addresses and options of a version 2 header that this node reads.
const MAX_V2: usize = 4096;

/// What is wrong with a header.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Neither version's beginning.
    #[error("the connection does not begin with a PROXY protocol header")]
    Missing,
    /// A header that cannot be read.
    #[error("the PROXY protocol header is malformed: {0}")]
    Malformed(&'static str),
}

/// A header as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// The client; `None` when the proxy speaks for itself (`LOCAL`, `UNKNOWN`).
    pub source: Option<SocketAddr>,
    /// Its length, bytes.
    pub length: usize,
}

/// Reads a header from the beginning of a connection; `None` when more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] == SIGNATURE[..common] {
        return if bytes.len() < 16 { Ok(None) } else { version_2(bytes) };
    }
    let common = bytes.len().min(6);
    if bytes[..common] != b"PROXY "[..common] {
        return Err(ProxyError::Missing);
    }
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    match line.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some(Header { source: version_1(&line[6..end])?, length: end + 2 })),
        None if bytes.len() >= MAX_LINE => Err(ProxyError::Malformed("the line is longer than 107 bytes")),
        None => Ok(None),
    }
}

fn version_1(line: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let text = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed("the line is not ASCII"))?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let [family, source, destination, source_port, destination_port] = text.split(' ').collect::<Vec<_>>()[..] else {
        return Err(ProxyError::Malformed("the line needs a family, two addresses and two ports"));
    };
    let address = |text: &str| -> Result<IpAddr, ProxyError> {
        let parsed = match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
            _ => return Err(ProxyError::Malformed("the family is neither TCP4, TCP6 nor UNKNOWN")),
        };
        parsed.ok_or(ProxyError::Malformed("an address is not one of its family"))
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| ProxyError::Malformed("a port is no number to 65535"));
    address(destination)?;
    port(destination_port)?;
    Ok(Some(SocketAddr::new(address(source)?, port(source_port)?)))
}

fn version_2(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let (command, family) = (bytes[12], bytes[13]);
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if command >> 4 != 2 {
        return Err(ProxyError::Malformed("the version is not 2"));
    }
    if length > MAX_V2 {
        return Err(ProxyError::Malformed("it is longer than 4096 bytes"));
    }
    let Some(rest) = bytes.get(16..16 + length) else { return Ok(None) };
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    let source = match (command & 0xf, family) {
        (0, _) => None,
        (1, 0x11 | 0x12) if rest.len() >= 12 => {
            let octets: [u8; 4] = rest[..4].try_into().expect("four bytes");
            Some(SocketAddr::new(octets.into(), port(8)))
        }
        (1, 0x21 | 0x22) if rest.len() >= 36 => {
            let octets: [u8; 16] = rest[..16].try_into().expect("sixteen bytes");
            Some(SocketAddr::new(octets.into(), port(32)))
        }
        (1, 0x11 | 0x12 | 0x21 | 0x22) => return Err(ProxyError::Malformed("the addresses are cut off")),
        // Unix sockets and what is unspecified have no address to use.
        (1, _) => None,
        _ => return Err(ProxyError::Malformed("the command is neither LOCAL nor PROXY")),
    };
    Ok(Some(Header { source, length: 16 + length }))
}

/// Reads the header of a connection byte for byte as needed, so that none of what follows is taken.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Header> {
    let mut bytes = Vec::with_capacity(MAX_LINE);
    loop {
        // A version 2 header says its length; a version 1 line can be as short as its shortest end.
        let wanted = match bytes.len() {
            0..6 => 1,
            16.. if bytes.starts_with(SIGNATURE) => {
                16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]])) - bytes.len()
            }
            read if bytes.starts_with(&SIGNATURE[..6]) => 16 - read,
            _ => 1,
        };
        let start = bytes.len();
        bytes.resize(start + wanted, 0);
        stream.read_exact(&mut bytes[start..]).await?;
        let parsed = parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(header) = parsed {
            return Ok(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn both_versions_name_the_client() {
        let line = b"PROXY TCP4 9.8.7.6 127.0.0.1 1234 80\r\nGET /";
        let header = parse(line).unwrap().unwrap();
        assert_eq!((header.source, header.length), (Some("9.8.7.6:1234".parse().unwrap()), 38));
        let header = parse(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n").unwrap().unwrap();
        assert_eq!(header.source, Some("[2001:db8::1]:1".parse().unwrap()));
        assert_eq!(parse(b"PROXY UNKNOWN whatever\r\n").unwrap().unwrap().source, None);
        let bytes = v2(0x21, 0x11, &[9, 8, 7, 6, 127, 0, 0, 1, 4, 210, 0, 80, 3, 0, 1, 9]);
        assert_eq!(
            parse(&bytes).unwrap().unwrap(),
            Header { source: Some("9.8.7.6:1234".parse().unwrap()), length: 32 }
        );
        let mut addresses = [0; 36];
        (addresses[0], addresses[1], addresses[15], addresses[33]) = (0x20, 1, 1, 7);
        assert_eq!(parse(&v2(0x21, 0x21, &addresses)).unwrap().unwrap().source.unwrap().to_string(), "[2001::1]:7");
        assert_eq!(parse(&v2(0x20, 0, &[])).unwrap().unwrap().source, None);
    }

    #[test]
    fn what_is_no_header_is_told_as_soon_as_that_is_clear() {
        assert_eq!(parse(b"G"), Err(ProxyError::Missing));
        assert_eq!(parse(b"\x16\x03"), Err(ProxyError::Missing));
        for line in [
            "PROXY TCP4 9.8.7.6 127.0.0.1 1234\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP5 9.8.7.6 127.0.0.1 1 2\r\n",
            "PROXY TCP4 9.8.7.6 127.0.0.1 99999 2\r\n",
        ] {
            assert!(matches!(parse(line.as_bytes()), Err(ProxyError::Malformed(_))), "{line}");
        }
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        assert!(matches!(parse(&long), Err(ProxyError::Malformed(_))));
        for bytes in [v2(0x11, 0x11, &[0; 12]), v2(0x21, 0x11, &[0; 4]), v2(0x22, 0x11, &[0; 12])] {
            assert!(matches!(parse(&bytes), Err(ProxyError::Malformed(_))));
        }
    }

    #[tokio::test]
    async fn nothing_after_the_header_is_taken() {
        for header in [b"PROXY TCP4 9.8.7.6 127.0.0.1 1234 80\r\n".to_vec(), v2(0x21, 0x11, &[1; 14])] {
            let bytes = [header.as_slice(), b"GET /"].concat();
            let mut stream = bytes.as_slice();
            assert!(read(&mut stream).await.unwrap().source.is_some());
            assert_eq!(stream, b"GET /");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..20) {
            let _ = parse(&bytes);
            let signed = [&SIGNATURE[..cut.min(12)], &bytes[..]].concat();
            let _ = parse(&signed);
        }
    }
}
