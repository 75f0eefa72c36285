//! Maglev: a table that every host fills in an order of its own, turn by turn, so
//! that each gets its share and few entries change owner when a host leaves
//! (Eisenbud and others, NSDI 2016, section 3.4).

use evenkeel_shared::ir;

use super::hashing::Keyed;
use super::xxhash::xxhash64;

/// The owner of each entry.
#[derive(Debug)]
pub(super) struct Maglev {
    entries: Box<[u32]>,
}

/// A host that fills the table.
#[derive(Debug)]
struct Filler {
    place: u32,
    /// The next entry it wants.
    at: usize,
    /// How far the one after that is.
    skip: usize,
    share: f64,
    /// Its next turn, in rounds of the heaviest host.
    due: f64,
}

impl Maglev {
    /// The table that Envoy makes of the same hosts, in whatever order they come.
    pub(super) fn new(settings: ir::Maglev, hosts: &[Keyed]) -> Self {
        // In a table of another size, an order would not reach every entry.
        let size = if ir::Maglev::is_table_size(settings.table_size) {
            settings.table_size
        } else {
            ir::Maglev::DEFAULT_TABLE_SIZE
        };
        Self {
            entries: fill(fillers(size, hosts), usize::try_from(size).unwrap_or(1)),
        }
    }

    /// The owner of the entry. Another attempt looks at quite another one.
    pub(super) fn place(&self, hash: u64, attempt: usize) -> usize {
        let hash = hash ^ (attempt as u64).wrapping_neg();
        let at = hash.checked_rem(self.entries.len() as u64);
        let at = at.and_then(|at| usize::try_from(at).ok());
        let owner = at.and_then(|at| self.entries.get(at));
        owner.map_or(0, |place| usize::try_from(*place).unwrap_or_default())
    }
}

/// The hosts in the order of their keys, which decides who comes first to an
/// entry that two want.
fn fillers(size: u32, hosts: &[Keyed]) -> Vec<Filler> {
    let mut keyed: Vec<(u32, &Keyed)> = (0_u32..).zip(hosts).collect();
    keyed.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    let within = |hash: u64, bound: u32| {
        let at = hash.checked_rem(u64::from(bound)).unwrap_or_default();
        usize::try_from(at).unwrap_or_default()
    };
    let fillers = keyed.into_iter().map(|(place, host)| Filler {
        place,
        at: within(xxhash64(host.key.as_bytes(), 0), size),
        skip: within(xxhash64(host.key.as_bytes(), 1), size - 1) + 1,
        share: host.share,
        due: 0.0,
    });
    fillers.collect()
}

/// Round after round, until no entry is vacant. The heaviest host has a turn in
/// each round, one of a third of its weight in every third.
fn fill(mut fillers: Vec<Filler>, size: usize) -> Box<[u32]> {
    const VACANT: u32 = u32::MAX;
    let heaviest = fillers.iter().map(|host| host.share).fold(0.0, f64::max);
    if heaviest <= 0.0 {
        return Box::default();
    }
    let mut entries = vec![VACANT; size];
    let mut vacant = size;
    let mut round = 0.0;
    while vacant > 0 {
        round += 1.0;
        for host in &mut fillers {
            if vacant == 0 {
                break;
            }
            if round * host.share < host.due {
                continue;
            }
            host.due += heaviest;
            while entries[host.at] != VACANT {
                host.at = (host.at + host.skip) % size;
            }
            entries[host.at] = host.place;
            host.at = (host.at + host.skip) % size;
            vacant -= 1;
        }
    }
    entries.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maglev(table_size: u32, hosts: &[(&str, f64)]) -> Maglev {
        let hosts = hosts.iter().map(|(key, share)| Keyed {
            key: (*key).to_owned(),
            share: *share,
        });
        let settings = ir::Maglev {
            table_size,
            balance_factor: None,
        };
        Maglev::new(settings, &hosts.collect::<Vec<_>>())
    }

    fn entries(maglev: &Maglev, place: u32) -> usize {
        let own = maglev.entries.iter().filter(|owner| **owner == place);
        own.count()
    }

    #[test]
    fn every_host_has_its_share_of_the_entries() {
        let even = maglev(7, &[("127.0.0.1:90", 0.5), ("127.0.0.1:91", 0.5)]);
        assert_eq!((entries(&even, 0), entries(&even, 1)), (4, 3));
        let shares = [
            ("127.0.0.1:90", 0.1),
            ("127.0.0.1:91", 0.6),
            ("127.0.0.1:92", 0.3),
        ];
        let weighted = maglev(65_537, &shares);
        for (place, (_, share)) in (0..).zip(shares) {
            let wanted = share * 65_537.0;
            let own = f64::from(u32::try_from(entries(&weighted, place)).unwrap());
            assert!((own - wanted).abs() <= 6.0, "{place}: {own} of {wanted}");
        }
    }

    #[test]
    fn the_order_of_the_hosts_does_not_matter() {
        let one = maglev(251, &[("127.0.0.1:90", 0.25), ("127.0.0.1:91", 0.75)]);
        let other = maglev(251, &[("127.0.0.1:91", 0.75), ("127.0.0.1:90", 0.25)]);
        for hash in 0..251 {
            assert_eq!(one.place(hash, 0), 1 - other.place(hash, 0));
        }
    }

    #[test]
    fn a_size_that_is_no_prime_cannot_hang_it() {
        let table = maglev(1_000, &[("127.0.0.1:90", 0.5), ("127.0.0.1:91", 0.5)]);
        assert_eq!(table.entries.len(), 65_537);
    }
}
