//! Things in progress, each under a key that is never given out again: an event
//! that comes too late finds nothing.

/// Where a thing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    place: usize,
    serial: u64,
}

/// Things by key.
#[derive(Debug)]
pub(super) struct Register<T> {
    places: Vec<Option<(u64, T)>>,
    free: Vec<usize>,
    serial: u64,
}

impl<T> Register<T> {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            serial: 0,
        }
    }

    /// Takes a thing in.
    pub(super) fn add(&mut self, thing: T) -> Key {
        self.serial += 1;
        let entry = Some((self.serial, thing));
        let place = if let Some(place) = self.free.pop() {
            self.places[place] = entry;
            place
        } else {
            self.places.push(entry);
            self.places.len() - 1
        };
        Key {
            place,
            serial: self.serial,
        }
    }

    /// The thing, if it is still there.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut T> {
        match self.places.get_mut(key.place) {
            Some(Some((serial, thing))) if *serial == key.serial => Some(thing),
            _ => None,
        }
    }

    /// Takes the thing out, if it is still there.
    pub(super) fn take(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.free.push(key.place);
        let entry = self.places.get_mut(key.place).and_then(Option::take);
        entry.map(|(_, thing)| thing)
    }

    /// How many are there.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_the_one_of_what_comes_later_to_the_same_place() {
        let mut register = Register::new();
        let first = register.add('a');
        assert_eq!(register.take(first), Some('a'));
        let second = register.add('b');
        assert_eq!(register.get(first), None);
        assert_eq!(register.take(first), None);
        assert_eq!(register.get(second), Some(&mut 'b'));
        assert_eq!(register.len(), 1);
    }
}
