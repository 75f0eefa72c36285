//! Values by small numbers that are used again.

/// Values and the free places among them.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// The number that the next value gets.
    pub(crate) fn vacant(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Puts a value into the vacant place.
    pub(crate) fn insert(&mut self, value: T) {
        let index = self.free.pop();
        match index.and_then(|index| self.slots.get_mut(index)) {
            Some(slot) => *slot = Some(value),
            None => self.slots.push(Some(value)),
        }
    }

    /// The value with a number.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// Takes a value away.
    pub(crate) fn remove(&mut self, index: usize) -> Option<T> {
        let value = self.slots.get_mut(index)?.take()?;
        self.free.push(index);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn places_are_used_again() {
        let mut table = Table::default();
        assert_eq!(table.vacant(), 0);
        table.insert("a");
        table.insert("b");
        assert_eq!(table.remove(0), Some("a"));
        assert_eq!(table.remove(0), None);
        assert_eq!(table.vacant(), 0);
        table.insert("c");
        assert_eq!(table.get_mut(0), Some(&mut "c"));
        assert_eq!(table.vacant(), 2);
    }
}
