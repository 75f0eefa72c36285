use proptest::prelude::*;

use super::*;

fn source_of(bytes: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    let header = parse(bytes)?.expect("is complete");
    assert_eq!(header.length, bytes.len());
    Ok(header.source)
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn four() -> Vec<u8> {
    vec![192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80]
}

#[test]
fn a_text_header_names_the_client() {
    let read = |text: &str| source_of(text.as_bytes());
    assert_eq!(
        read("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n"),
        Ok(Some(socket("192.0.2.7:4711")))
    );
    assert_eq!(
        read("PROXY TCP6 2001:db8::7 ::1 4711 443\r\n"),
        Ok(Some(socket("[2001:db8::7]:4711")))
    );
    assert_eq!(
        read("PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n"),
        Ok(Some(socket("192.0.2.7:4711")))
    );
    assert_eq!(read("PROXY UNKNOWN\r\n"), Ok(None));
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), LONGEST_TEXT);
    assert_eq!(read(longest), Ok(None));
}

#[test]
fn a_text_that_breaks_the_rules_is_refused() {
    for text in [
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 1.2.3.4 1 2\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
    ] {
        assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_TEXT));
    assert_eq!(parse(endless.as_bytes()), Err(Malformed));
}

#[test]
fn a_binary_header_names_the_client() {
    assert_eq!(
        source_of(&v2(0x21, 0x11, &four())),
        Ok(Some(socket("192.0.2.7:4711")))
    );
    let extended = [four(), vec![4, 0, 2, 1, 2]].concat();
    assert_eq!(
        source_of(&v2(0x21, 0x11, &extended)),
        Ok(Some(socket("192.0.2.7:4711")))
    );
    let mut six = [0; 36];
    six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    six[32..34].copy_from_slice(&[0x12, 0x67]);
    assert_eq!(
        source_of(&v2(0x21, 0x21, &six)),
        Ok(Some(socket("[2001:db8::]:4711")))
    );
}

#[test]
fn without_a_usable_address_the_other_end_counts() {
    for (command, family, block) in [
        // For itself; what it says of the family does not matter.
        (0x20, 0x00, vec![]),
        (0x20, 0x11, four()),
        (0x20, 0xff, vec![1]),
        // Unknown, a datagram, a socket of one machine.
        (0x21, 0x00, vec![]),
        (0x21, 0x12, four()),
        (0x21, 0x31, vec![b'x'; 216]),
    ] {
        let header = v2(command, family, &block);
        assert_eq!(source_of(&header), Ok(None), "{command:x} {family:x}");
    }
}

#[test]
fn a_binary_header_that_breaks_the_rules_is_refused() {
    for (command, family, block) in [
        (0x11, 0x11, four()),
        (0x22, 0x11, four()),
        (0x21, 0x41, four()),
        (0x21, 0x13, four()),
        (0x21, 0x11, four()[..11].to_vec()),
        (0x21, 0x21, vec![0; 35]),
        (0x21, 0x11, vec![0; MOST_BINARY + 1]),
    ] {
        let header = v2(command, family, &block);
        assert_eq!(parse(&header), Err(Malformed), "{command:x} {family:x}");
    }
    assert!(source_of(&v2(0x21, 0x11, &[0; MOST_BINARY])).is_ok());
}

/// Proper headers, and such with changed, missing and added bytes.
fn nearly_headers() -> impl Strategy<Value = Vec<u8>> {
    let proper = prop_oneof![
        Just(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec()),
        Just(b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec()),
        Just(b"PROXY UNKNOWN\r\n".to_vec()),
        (
            any::<u8>(),
            any::<u8>(),
            prop::collection::vec(any::<u8>(), 0..300)
        )
            .prop_map(|(command, family, block)| v2(command, family, &block)),
        prop::collection::vec(any::<u8>(), 0..64).prop_map(|rest| v2(
            0x21,
            0x11,
            &[four(), rest].concat()
        )),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 0..4);
    (proper, changes).prop_map(|(mut bytes, changes)| {
        for (place, byte, kind) in changes {
            let place = place.index(bytes.len().max(1));
            match kind {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, byte),
                _ => bytes
                    .iter_mut()
                    .skip(place)
                    .take(1)
                    .for_each(|at| *at = byte),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// However the bytes are cut, they say the same, and nothing behind the
    /// header is needed or changes it.
    #[test]
    fn cuts_change_nothing(
        bytes in nearly_headers(),
        behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let whole = [bytes.clone(), behind].concat();
        let mut first = None;
        for end in 0..=whole.len() {
            let said = parse(&whole[..end]);
            match &first {
                None if said == Ok(None) => prop_assert!(end < LONGEST),
                None => {
                    if let Ok(Some(header)) = said {
                        prop_assert_eq!(header.length, end);
                    }
                    first = Some(said);
                }
                Some(first) => prop_assert_eq!(&said, first),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = parse(&[SIGNATURE, &bytes].concat());
        let _ = parse(&[b"PROXY ".as_slice(), &bytes].concat());
    }
}
