//! Changes of cases: each byte in turn, and at random from a fixed seed.

/// Bytes and words over which parsers stumble.
const ODD: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\t",
    b" ",
    b"  ",
    b":",
    b";",
    b",",
    b"\"",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\xa0",
    b"\xff",
    b"0",
    b"5",
    b"a",
    b"x",
    b"/",
    b"-",
    b"+",
    b"_",
    b"*",
    b"?",
    b"chunked",
    b"identity",
    b"close",
    b"keep-alive",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"hello",
    b"GET / HTTP/1.1\r\n",
];

/// Those that are put at each place in turn.
const EACH: usize = 17;

/// The case with each of its places changed in each way.
pub(crate) fn systematic(case: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..case.len()).flat_map(move |at| {
        let cut = [splice(case, at, 1, b"")].into_iter();
        let changed = ODD
            .iter()
            .take(EACH)
            .flat_map(move |odd| [splice(case, at, 0, odd), splice(case, at, 1, odd)]);
        cut.chain(changed)
    })
}

fn splice(case: &[u8], at: usize, gone: usize, put: &[u8]) -> Vec<u8> {
    [&case[..at], put, &case[at + gone..]].concat()
}

/// Numbers that look random and are the same in every run (`SplitMix64`).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound that is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }
}

/// One of the cases, changed in a few places or joined with another.
pub(crate) fn random(cases: &[Vec<u8>], draw: &mut Draw) -> Vec<u8> {
    let mut case = cases[draw.below(cases.len())].clone();
    case.truncate(1500);
    for _ in 0..=draw.below(3) {
        let at = draw.below(case.len() + 1);
        let gone = draw.below(3).min(case.len() - at);
        let odd = ODD[draw.below(ODD.len())];
        case = match draw.below(6) {
            0 => splice(&case, at, gone, b""),
            1 | 2 => splice(&case, at, gone, odd),
            3 => splice(&case, at, 0, odd),
            4 => {
                let other = &cases[draw.below(cases.len())];
                let from = draw.below(other.len() + 1);
                [&case[..at], &other[from..]].concat()
            }
            _ => twice(&case, at),
        };
    }
    case
}

/// With the line around a place twice.
fn twice(case: &[u8], at: usize) -> Vec<u8> {
    let from = case[..at].iter().rposition(|byte| *byte == b'\n');
    let from = from.map_or(0, |from| from + 1);
    let to = case[at..].iter().position(|byte| *byte == b'\n');
    let to = to.map_or(case.len(), |to| at + to + 1);
    splice(case, to, 0, &case[from..to])
}
