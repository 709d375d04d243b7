//! Numbered slots that JavaScript refers to: a handle names a slot and its generation, so a handle kept after its slot
//! was freed finds nothing, even when the slot is in use again.

/// Bits of a handle that name the slot.
const INDEX_BITS: u32 = 18;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Generations count from 1 to this, so that a handle is never 0 and always below 2^30: a small integer for V8.
const LAST_GENERATION: u32 = (1 << (30 - INDEX_BITS)) - 1;

/// Values under handles.
pub(crate) struct Handles<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Handles<T> {
    /// Stores `value`; gives it back when all of the 262,144 slots are taken.
    pub(crate) fn insert(&mut self, value: T) -> Result<u32, T> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() <= INDEX_MASK as usize => {
                self.entries.push(Entry { generation: 1, value: None });
                u32::try_from(self.entries.len() - 1).expect("bounded by the mask")
            }
            None => return Err(value),
        };
        let entry = &mut self.entries[index as usize];
        entry.value = Some(value);
        Ok(entry.generation << INDEX_BITS | index)
    }

    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        self.entry(handle)?.value.as_mut()
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        let entry = self.entries.get((handle & INDEX_MASK) as usize)?;
        if entry.generation == handle >> INDEX_BITS { entry.value.as_ref() } else { None }
    }

    /// Takes the value out; the handle is void from now on.
    pub(crate) fn remove(&mut self, handle: u32) -> Option<T> {
        let entry = self.entry(handle)?;
        let value = entry.value.take()?;
        entry.generation = if entry.generation == LAST_GENERATION { 1 } else { entry.generation + 1 };
        self.free.push(handle & INDEX_MASK);
        Some(value)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// All values with their handles, in no particular order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.entries.iter_mut().zip(0..).filter_map(|(entry, index)| {
            let handle = entry.generation << INDEX_BITS | index;
            entry.value.as_mut().map(|value| (handle, value))
        })
    }

    fn entry(&mut self, handle: u32) -> Option<&mut Entry<T>> {
        let entry = self.entries.get_mut((handle & INDEX_MASK) as usize)?;
        (entry.generation == handle >> INDEX_BITS).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_finds_nothing() {
        let mut handles = Handles::default();
        let first = handles.insert("a").unwrap();
        assert_eq!(handles.remove(first), Some("a"));
        let second = handles.insert("b").unwrap();
        assert_ne!(first, second);
        assert_eq!(handles.get(first), None);
        assert_eq!(handles.get_mut(first), None);
        assert_eq!(handles.remove(first), None);
        assert_eq!(handles.get(second), Some(&"b"));
        assert_eq!(handles.len(), 1);
    }

    #[test]
    fn handles_are_never_zero_and_stay_small_integers() {
        let mut handles = Handles::default();
        for _ in 0..=LAST_GENERATION {
            let handle = handles.insert(()).unwrap();
            assert!(handle != 0 && handle < 1 << 30);
            handles.remove(handle);
        }
        assert_eq!(handles.get(0), None);
        assert_eq!(handles.get(u32::MAX), None);
    }
}
