//! Sections of the RFCs, of good requests and of bad ones.

use super::hpack::Table;
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn decoded(coded: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut text = Vec::new();
    let count = huffman::decode(coded, |byte| text.push(byte))?;
    assert_eq!(count as usize, text.len());
    Ok(text)
}

#[test]
fn strings_of_the_rfc_are_decoded() {
    for (coded, text) in [
        ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
        ("a8eb10649cbf", "no-cache"),
        ("25a849e95bb8e8b4bf", "custom-value"),
        ("6402", "302"),
        ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("", ""),
    ] {
        assert_eq!(decoded(&bytes(coded)), Ok(text.as_bytes().to_vec()), "{text}");
    }
    // Padding of eight bits, padding that is not set, the end-of-string symbol, a code that is cut off.
    for wrong in ["f1e3c2e5f23a6ba0ab90f4ffff", "00", "ffffffff", "fffffffcff", "ff"] {
        assert_eq!(decoded(&bytes(wrong)), Err(Unreadable), "{wrong}");
    }
}

#[test]
fn every_byte_has_a_code() {
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    assert_eq!(decoded(&huffman::encode(&all)), Ok(all));
}

/// The requests of RFC 7541 C.3 and C.4, the answers of C.5.
#[test]
fn the_table_is_as_large_as_the_rfc_says() {
    for requests in [
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
    ] {
        let mut table = Table::default();
        for (request, (in_table, size, fields)) in requests.iter().zip([(57, 180, 4), (110, 233, 5), (164, 245, 5)]) {
            let section = table.read(&bytes(request)).unwrap();
            assert_eq!((table.size(), section.size, section.fields), (in_table, size, fields), "{request}");
            assert!(section.is_head() && !section.has_fragment);
        }
    }
    let mut table = Table::default();
    // 256 bytes (§6.3).
    table.read(&[0x3f, 0xe1, 0x01]).unwrap();
    for (answer, in_table) in [
        (
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f\
             2f7777772e6578616d706c652e636f6d",
            222,
        ),
        ("4803333037c1c0bf", 222),
        (
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b4851\
             4b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
            215,
        ),
    ] {
        table.read(&bytes(answer)).unwrap();
        assert_eq!(table.size(), in_table);
    }
    table.read(&[0x20]).unwrap();
    assert_eq!(table.size(), 0);
    assert_eq!(table.read(&[0xbe]), Err(Unreadable));
    assert_eq!(Table::default().read(&[0x3f, 0xe2, 0x1f]), Err(Unreadable), "more than was allowed");
}

/// Fields as HPACK and as QPACK has them, as they are.
fn both(fields: &[(&str, &str)]) -> [Section; 2] {
    let (mut hpack, mut qpack) = (Vec::new(), vec![0, 0]);
    for (name, value) in fields {
        let (name_length, value_length) = (name.len() as u8, value.len() as u8);
        hpack.extend([&[0x10, name_length], name.as_bytes(), &[value_length], value.as_bytes()].concat());
        let start = if name_length < 7 { vec![0x20 | name_length] } else { vec![0x27, name_length - 7] };
        qpack.extend([&start, name.as_bytes(), &[value_length], value.as_bytes()].concat());
    }
    [Table::default().read(&hpack).unwrap(), qpack::read(&qpack).unwrap()]
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a.com")];

#[test]
fn heads_have_each_pseudo_field_once_and_before_the_others() {
    let size = GET.iter().map(|(name, value)| (name.len() + value.len() + 32) as u64).sum();
    for section in both(&GET) {
        assert!(section.is_head());
        assert_eq!((section.size, section.fields), (size, 4));
    }
    let with = |at: usize, field| {
        let mut fields = GET.to_vec();
        fields.insert(at, field);
        both(&fields)
    };
    for good in [with(4, ("x", "y")), with(4, ("accept", "*/*")), both(&GET[..3])] {
        assert!(good.iter().all(Section::is_head));
    }
    for at in 0..=4 {
        for twice in GET {
            assert!(!with(at, twice).iter().any(Section::is_head), "{twice:?}");
        }
        for strange in
            [(":status", "200"), (":protocol", "websocket"), (":x", ""), (":", ""), (":authorityauthority", "")]
        {
            assert!(!with(at, strange).iter().any(Section::is_head), "{strange:?}");
        }
        if at < 4 {
            assert!(!with(at, ("x", "y")).iter().any(Section::is_head), "{at}");
        }
        let mut fewer = GET.to_vec();
        if at < 3 {
            fewer.remove(at);
            assert!(!both(&fewer).iter().any(Section::is_head), "{at}");
        }
    }
    let connect = [(":method", "CONNECT"), (":authority", "a.com:80")];
    assert!(both(&connect).iter().all(Section::is_head));
    assert!(!both(&connect[..1]).iter().any(Section::is_head));
    assert!(!both(&[&connect[..], &GET[2..3]].concat()).iter().any(Section::is_head));
    for like in ["CONNECTS", "CONNEC", "connect"] {
        assert!(!both(&[(":method", like), connect[1]]).iter().any(Section::is_head), "{like}");
    }
}

#[test]
fn fragments_are_seen_however_the_path_is_written() {
    for (path, has) in [("/#a", true), ("/a?b#", true), ("/%23", false), ("/", false)] {
        for section in both(&[GET[0], GET[1], (":path", path), GET[3]]) {
            assert_eq!(section.has_fragment, has, "{path}");
        }
    }
    let coded = huffman::encode(b"/#");
    let mut path = vec![0x80 | coded.len() as u8];
    path.extend(&coded);
    // In the table's stead, and from the table: by its index, and as a name for another.
    let mut table = Table::default();
    assert!(table.read(&[&[0x44], &path[..]].concat()).unwrap().has_fragment);
    assert!(table.read(&[0xbe]).unwrap().has_fragment);
    assert!(!table.read(&[0x0f, 0x2f, 1, b'/']).unwrap().has_fragment);
    assert!(table.read(&[0x0f, 0x2f, 1, b'#']).unwrap().has_fragment);
    assert!(qpack::read(&[&[0, 0, 0x51], &path[..]].concat()).unwrap().has_fragment);
    // Of other fields it is none.
    assert!(!both(&[GET[0], GET[1], GET[2], ("x", "#")])[0].has_fragment);
}

#[test]
fn what_is_cut_off_or_refers_to_nothing_is_unreadable() {
    for wrong in ["80", "ff00", "be", "41", "4105", "0005", "0085", "01", "7fffffffffffff", "82860401"] {
        assert_eq!(Table::default().read(&bytes(wrong)), Err(Unreadable), "{wrong}");
    }
    for wrong in ["", "00", "0100", "000080", "0000ff40", "000010", "00004000", "000027", "00005f54", "0000510561"] {
        assert_eq!(qpack::read(&bytes(wrong)), Err(Unreadable), "{wrong}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for _ in 0..20_000 {
        let section: Vec<u8> = (0..random() % 64).map(|_| random()).collect();
        let mut table = Table::default();
        let _ = (table.read(&section), table.read(&section), qpack::read(&section), decoded(&section));
        let behind_a_prefix = [&[0, 0], &section[..]].concat();
        let _ = qpack::read(&behind_a_prefix);
    }
}
