use std::io::Write;

use super::*;

fn data() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect()
}

fn encode(coding: Coding, data: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Coding::DeflateRaw => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            encoder.write_all(data).unwrap();
            encoder.into_inner()
        }
    }
}

fn decode(coding: Coding, chunks: impl Iterator<Item = Bytes>) -> Result<Vec<u8>, BodyError> {
    let mut decoder = Decoder::new(coding);
    let mut chunks = chunks;
    let mut out = Vec::new();
    loop {
        match decoder.read()? {
            Some(bytes) => {
                assert!(bytes.len() <= STEP);
                out.extend_from_slice(&bytes);
            }
            None if decoder.is_done() => return Ok(out),
            None => match chunks.next() {
                Some(chunk) => decoder.write(chunk),
                None => decoder.finish(),
            },
        }
    }
}

#[test]
fn every_coding_is_undone_whatever_the_chunks() {
    let data = data();
    for coding in [Coding::Gzip, Coding::Deflate, Coding::DeflateRaw, Coding::Brotli] {
        let coded = encode(coding, &data);
        for size in [1, 7, 4096, coded.len()] {
            let chunks = coded.chunks(size).map(Bytes::copy_from_slice);
            assert!(decode(coding, chunks).unwrap() == data, "{coding:?} in chunks of {size}");
        }
    }
}

#[test]
fn truncated_and_invalid_data_are_errors() {
    let data = data();
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli] {
        let coded = Bytes::from(encode(coding, &data));
        assert!(decode(coding, [coded.slice(..coded.len() / 2)].into_iter()).is_err(), "{coding:?} cut off");
        assert!(decode(coding, [Bytes::from_static(b"no compressed data")].into_iter()).is_err(), "{coding:?} garbage");
    }
}

#[test]
fn accept_encoding_decides() {
    let accepts = |value: &'static str, coding: Coding| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
        coding.accepted_by(&headers)
    };
    assert!(accepts("gzip, br", Coding::Gzip));
    assert!(accepts("*", Coding::Brotli));
    assert!(!accepts("br", Coding::Gzip));
    assert!(!accepts("gzip;q=0, *", Coding::Gzip));
    assert!(!Coding::Gzip.accepted_by(&HeaderMap::new()));
}
