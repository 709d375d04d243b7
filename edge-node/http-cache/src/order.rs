//! Who holds how much of the memory, and what of it goes first. Pure: time comes in as seconds.
//!
//! What nobody has asked for in the last hour goes first, that of the longest ago before all else. When everything has
//! been asked for since, the app that holds most gives up what it has asked for least recently. So an app that stores
//! without end pushes out what is its own: as long as a neighbour holds less than the largest app does, what its clients
//! ask for stays.

use std::collections::{BTreeSet, HashMap};

use crate::key::{Key, Owner};

/// What nobody asks for in so many seconds has no claim on the memory.
const COLD: u32 = 3600;
/// Objects that are looked at in a search for one to remove: each of them was asked for since it was looked at last. When
/// there are more of those, one of them goes.
const CHANCES: usize = 32;

/// An object's place in the order.
pub(crate) type Place = u32;

const NONE: Place = Place::MAX;

/// The order of all objects, and that of each app's.
const ALL: usize = 0;
const OWN: usize = 1;

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: Place,
    older: Place,
}

/// The newest and the oldest of a list.
#[derive(Clone, Copy, Debug)]
struct Ends {
    newest: Place,
    oldest: Place,
}

impl Default for Ends {
    fn default() -> Self {
        Self { newest: NONE, oldest: NONE }
    }
}

#[derive(Debug)]
struct Object {
    key: Key,
    weight: u32,
    /// When it was last known to be asked for, or was stored.
    since: u32,
    links: [Link; 2],
}

#[derive(Debug, Default)]
struct App {
    bytes: u64,
    ends: Ends,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Order {
    objects: Vec<Option<Object>>,
    free: Vec<Place>,
    ends: Ends,
    apps: HashMap<Owner, App>,
    /// The apps by what they hold.
    sizes: BTreeSet<(u64, Owner)>,
    bytes: u64,
}

/// What an object counts beside what it is weighed with: its places here and in the table.
pub(crate) const OBJECT: usize = size_of::<Option<Object>>() * 3 / 2;

impl Order {
    /// Bytes of all objects.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of an app's objects.
    #[cfg(test)]
    pub(crate) fn bytes_of(&self, owner: &Owner) -> u64 {
        self.apps.get(owner).map_or(0, |app| app.bytes)
    }

    /// Adds an object as the newest; `None` when there are more than can be counted.
    pub(crate) fn add(&mut self, key: Key, weight: u32, now: u32) -> Option<Place> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = Place::try_from(self.objects.len()).ok().filter(|place| *place != NONE)?;
                self.objects.push(None);
                place
            }
        };
        let owner = key.owner();
        let links = [Link { newer: NONE, older: NONE }; 2];
        self.objects[place as usize] = Some(Object { key, weight, since: now, links });
        self.link(ALL, owner, place);
        self.link(OWN, owner, place);
        self.grow(owner, u64::from(weight), 0);
        Some(place)
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, place: Place) {
        let Some(owner) = self.get(place).map(|object| object.key.owner()) else { return };
        self.unlink(ALL, owner, place);
        self.unlink(OWN, owner, place);
        if let Some(object) = self.objects[place as usize].take() {
            self.free.push(place);
            self.grow(owner, 0, u64::from(object.weight));
        }
    }

    /// Notes that an object is another one now, which is the newest.
    pub(crate) fn replace(&mut self, place: Place, weight: u32, now: u32) {
        let Some(object) = self.get_mut(place) else { return };
        let owner = object.key.owner();
        let before = std::mem::replace(&mut object.weight, weight);
        self.renew(place, now);
        self.grow(owner, u64::from(weight), u64::from(before));
    }

    /// The object to remove, when there is one; `asked` says when a key was last asked for.
    pub(crate) fn first_to_go(&mut self, now: u32, asked: impl Fn(&Key) -> u32) -> Option<(Place, Key)> {
        let mut chances = CHANCES;
        let oldest = self.settled(&mut chances, &asked, |order| order.ends.oldest)?;
        let cold = |order: &Self| order.get(oldest).is_some_and(|object| now.saturating_sub(object.since) >= COLD);
        let place = if cold(self) {
            oldest
        } else {
            let of_largest = |order: &Self| {
                let largest = order.sizes.last().and_then(|(_, owner)| order.apps.get(owner));
                largest.map_or(NONE, |app| app.ends.oldest)
            };
            self.settled(&mut chances, &asked, of_largest)?
        };
        Some((place, self.get(place)?.key.clone()))
    }

    /// The last of a list that was not asked for since it was made the newest. Others become the newest, as many as there
    /// are `chances`.
    fn settled(
        &mut self,
        chances: &mut usize,
        asked: impl Fn(&Key) -> u32,
        last: impl Fn(&Self) -> Place,
    ) -> Option<Place> {
        loop {
            let place = last(self);
            let object = self.get(place)?;
            let asked = asked(&object.key);
            if asked <= object.since || *chances == 0 {
                return Some(place);
            }
            *chances -= 1;
            self.renew(place, asked);
        }
    }

    /// Makes an object the newest, asked for at this time.
    fn renew(&mut self, place: Place, now: u32) {
        let Some(object) = self.get_mut(place) else { return };
        object.since = now;
        let owner = object.key.owner();
        for list in [ALL, OWN] {
            self.unlink(list, owner, place);
            self.link(list, owner, place);
        }
    }

    fn grow(&mut self, owner: Owner, more: u64, less: u64) {
        let app = self.apps.entry(owner).or_default();
        self.sizes.remove(&(app.bytes, owner));
        app.bytes = (app.bytes + more).saturating_sub(less);
        self.bytes = (self.bytes + more).saturating_sub(less);
        if app.ends.newest == NONE {
            self.apps.remove(&owner);
        } else {
            self.sizes.insert((app.bytes, owner));
        }
    }

    fn get(&self, place: Place) -> Option<&Object> {
        self.objects.get(place as usize)?.as_ref()
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut Object> {
        self.objects.get_mut(place as usize)?.as_mut()
    }

    fn ends(&mut self, list: usize, owner: Owner) -> &mut Ends {
        if list == ALL { &mut self.ends } else { &mut self.apps.entry(owner).or_default().ends }
    }

    /// Puts an object that is in no list before the newest.
    fn link(&mut self, list: usize, owner: Owner, place: Place) {
        let ends = self.ends(list, owner);
        let second = std::mem::replace(&mut ends.newest, place);
        if second == NONE {
            ends.oldest = place;
        }
        if let Some(object) = self.get_mut(place) {
            object.links[list] = Link { newer: NONE, older: second };
        }
        if let Some(object) = self.get_mut(second) {
            object.links[list].newer = place;
        }
    }

    fn unlink(&mut self, list: usize, owner: Owner, place: Place) {
        let Some(Link { newer, older }) = self.get(place).map(|object| object.links[list]) else { return };
        match self.get_mut(newer) {
            Some(object) => object.links[list].older = older,
            None => self.ends(list, owner).newest = older,
        }
        match self.get_mut(older) {
            Some(object) => object.links[list].newer = newer,
            None => self.ends(list, owner).oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::key::{KeySettings, Namespace, key};

    fn key_of(app: &[u8], name: u32) -> Key {
        key(Namespace::of(&[app]), &KeySettings::default(), &format!("http://a/{name}"), &HeaderMap::new()).unwrap()
    }

    fn add(order: &mut Order, app: &[u8], name: u32, weight: u32, now: u32) -> Place {
        order.add(key_of(app, name), weight, now).unwrap()
    }

    /// Takes out the first to go, nothing having been asked for since it was stored.
    fn gone(order: &mut Order, now: u32) -> Option<Key> {
        let (place, key) = order.first_to_go(now, |_| 0)?;
        order.remove(place);
        Some(key)
    }

    #[test]
    fn the_app_that_holds_most_gives_its_oldest() {
        let mut order = Order::default();
        add(&mut order, b"small", 1, 10, 0);
        for name in 0..5 {
            add(&mut order, b"hog", name, 10, 1);
        }
        for name in 0..4 {
            assert_eq!(gone(&mut order, 2), Some(key_of(b"hog", name)));
        }
        assert_eq!((order.bytes(), order.bytes_of(&key_of(b"hog", 0).owner())), (20, 10));
        assert!(gone(&mut order, 2).is_some() && gone(&mut order, 2).is_some());
        assert_eq!((gone(&mut order, 2), order.bytes(), order.apps.len(), order.sizes.len()), (None, 0, 0, 0));
    }

    #[test]
    fn what_nobody_asks_for_goes_first_whoevers_it_is() {
        let mut order = Order::default();
        add(&mut order, b"small", 1, 10, 0);
        add(&mut order, b"small", 2, 10, 5);
        for name in 0..5 {
            add(&mut order, b"hog", name, 10, 10);
        }
        assert_eq!(gone(&mut order, COLD), Some(key_of(b"small", 1)));
        assert_eq!(gone(&mut order, COLD), Some(key_of(b"hog", 0)));
    }

    #[test]
    fn what_was_asked_for_since_stays() {
        let mut order = Order::default();
        for name in 0..3 {
            add(&mut order, b"a", name, 10, 0);
        }
        let asked = |key: &Key| if *key == key_of(b"a", 0) { 7 } else { 0 };
        let (place, key) = order.first_to_go(8, asked).unwrap();
        assert_eq!(key, key_of(b"a", 1));
        order.remove(place);
        // It is the newest now.
        assert_eq!(gone(&mut order, 8), Some(key_of(b"a", 2)));
        // When all are asked for all the time, one goes all the same.
        for name in 10..100 {
            add(&mut order, b"a", name, 10, 8);
        }
        assert!(order.first_to_go(9, |_| 9).is_some());
    }

    #[test]
    fn what_is_replaced_counts_as_what_it_is_now() {
        let mut order = Order::default();
        let first = add(&mut order, b"a", 1, 10, 0);
        add(&mut order, b"a", 2, 10, 0);
        order.replace(first, 30, 1);
        assert_eq!((order.bytes(), order.bytes_of(&key_of(b"a", 1).owner())), (40, 40));
        assert_eq!(gone(&mut order, 1), Some(key_of(b"a", 2)));
        order.replace(first, 5, 1);
        assert_eq!(order.bytes(), 5);
        order.remove(first);
        order.remove(first);
        assert_eq!(add(&mut order, b"b", 3, 1, 2), first, "its place is used again");
    }
}
