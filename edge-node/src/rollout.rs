//! Which version serves a request when a deployment names two: by weight, and the same one for the same client.
//!
//! Pure: the choice depends on nothing but its arguments, so all nodes send a client to the same version.

use atoll_protocol::api::Target;
use aws_lc_rs::digest::{SHA256, digest};

/// The version for the client identified by `key` (its address, or what it sent to be recognised by). `None` when
/// nothing is deployed. A client moves only from a version whose weight shrinks to one whose weight grows.
pub fn choose(app: &str, targets: &[Target], key: &[u8]) -> Option<u64> {
    match targets {
        [] => None,
        [only] => Some(only.version),
        _ => Some(pick(targets, bucket(app, key))),
    }
}

/// A number from 0 to 99 that a client keeps for an app.
fn bucket(app: &str, key: &[u8]) -> u64 {
    let mut input = Vec::with_capacity(app.len() + 1 + key.len());
    input.extend_from_slice(app.as_bytes());
    input.push(0);
    input.extend_from_slice(key);
    let hash = digest(&SHA256, &input);
    let first = hash.as_ref().first_chunk::<8>().expect("SHA-256 has 32 bytes");
    u64::from_be_bytes(*first) % 100
}

fn pick(targets: &[Target], bucket: u64) -> u64 {
    let total = targets.iter().map(|target| u64::from(target.weight)).sum::<u64>().max(1);
    let mut rest = bucket * total / 100;
    // By version, so that the order in which a deployment names its targets does not move clients.
    let mut sorted = targets.to_vec();
    sorted.sort_by_key(|target| target.version);
    for target in &sorted {
        match rest.checked_sub(u64::from(target.weight)) {
            None => return target.version,
            Some(left) => rest = left,
        }
    }
    sorted[sorted.len() - 1].version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(weights: &[(u64, u8)]) -> Vec<Target> {
        weights.iter().map(|&(version, weight)| Target { version, weight }).collect()
    }

    #[test]
    fn one_target_takes_everything_and_none_takes_nothing() {
        assert_eq!(choose("a", &targets(&[(3, 100)]), b"x"), Some(3));
        assert_eq!(choose("a", &[], b"x"), None);
    }

    #[test]
    fn the_share_follows_the_weight() {
        let targets = targets(&[(1, 90), (2, 10)]);
        let hits = (0..10_000u32).filter(|i| choose("a", &targets, &i.to_be_bytes()) == Some(2)).count();
        assert!((800..1200).contains(&hits), "{hits}");
    }

    #[test]
    fn a_client_stays_and_moves_only_towards_the_growing_version() {
        for client in 0..2_000u32 {
            let at = |weight| choose("a", &targets(&[(1, 100 - weight), (2, weight)]), &client.to_be_bytes());
            let mut moved = 0;
            for weight in 2..=99u8 {
                moved += usize::from(at(weight) != at(weight - 1));
            }
            assert!(moved <= 1);
            assert_eq!(at(50), choose("a", &targets(&[(2, 50), (1, 50)]), &client.to_be_bytes()));
        }
    }

    #[test]
    fn weights_that_do_not_add_up_still_choose_a_target() {
        for weights in [&[(1, 0), (2, 0)][..], &[(1, 1), (2, 1)], &[(1, 255), (2, 255)]] {
            for client in 0..200u32 {
                assert!(choose("a", &targets(weights), &client.to_be_bytes()).is_some());
            }
        }
    }
}
