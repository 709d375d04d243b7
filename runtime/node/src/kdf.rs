//! Keys from passwords: PBKDF2 in steps between which the engine can stop the script, and scrypt within a fixed cost.

use std::cell::RefCell;

use aws_lc_rs::hmac;
use deno_core::convert::Uint8Array;
use deno_core::{GarbageCollected, op2, v8};
use deno_error::JsErrorBox;

use crate::hash::hmac_algorithm;

/// The most memory that scrypt may take, in bytes (128 · N · r), and the most it may go over, in all (128 · N · r · p).
const SCRYPT_MEMORY: u64 = 64 << 20;
const SCRYPT_WORK: u64 = 256 << 20;

/// PBKDF2 under way (RFC 8018, section 5.2).
pub(crate) struct Pbkdf2(RefCell<State>);

struct State {
    key: hmac::Key,
    salt: Vec<u8>,
    iterations: u32,
    length: usize,
    out: Vec<u8>,
    /// The last HMAC, their sum, and how many there were, of the block under way.
    block: Option<(Vec<u8>, Vec<u8>, u32)>,
}

// SAFETY: it holds no reference to anything the engine collects.
unsafe impl GarbageCollected for Pbkdf2 {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Pbkdf2"
    }
}

impl State {
    /// Does at most `budget` HMACs; whether all is done.
    fn step(&mut self, mut budget: u32) -> bool {
        while self.out.len() < self.length {
            let (mut last, mut sum, mut count) = self.block.take().unwrap_or_else(|| {
                let index = u32::try_from(self.out.len() / self.key.algorithm().tag_len() + 1).unwrap_or(u32::MAX);
                let mut context = hmac::Context::with_key(&self.key);
                context.update(&self.salt);
                context.update(&index.to_be_bytes());
                let first = context.sign().as_ref().to_vec();
                (first.clone(), first, 1)
            });
            while count < self.iterations && budget > 0 {
                let next = hmac::sign(&self.key, &last);
                last.copy_from_slice(next.as_ref());
                sum.iter_mut().zip(&last).for_each(|(sum, byte)| *sum ^= byte);
                count += 1;
                budget -= 1;
            }
            if count < self.iterations {
                self.block = Some((last, sum, count));
                return false;
            }
            let rest = self.length - self.out.len();
            self.out.extend(sum.into_iter().take(rest));
            budget = budget.saturating_sub(1);
            if budget == 0 && self.out.len() < self.length {
                return false;
            }
        }
        true
    }
}

/// Begins PBKDF2. Throws when there is no such hash.
#[op2]
#[cppgc]
pub(crate) fn op_node_pbkdf2_open(
    #[string] hash: &str,
    #[buffer] password: &[u8],
    #[buffer] salt: &[u8],
    #[smi] iterations: u32,
    #[smi] length: u32,
) -> Result<Pbkdf2, JsErrorBox> {
    let algorithm = hmac_algorithm(hash).ok_or_else(|| JsErrorBox::generic("Invalid digest"))?;
    let state = State {
        key: hmac::Key::new(algorithm, password),
        salt: salt.to_vec(),
        iterations,
        length: length as usize,
        out: Vec::new(),
        block: None,
    };
    Ok(Pbkdf2(RefCell::new(state)))
}

/// Goes on for a few milliseconds; the key once it is there.
#[op2]
pub(crate) fn op_node_pbkdf2_step(#[cppgc] pbkdf2: &Pbkdf2) -> Option<Uint8Array> {
    let mut state = pbkdf2.0.borrow_mut();
    state.step(5_000).then(|| std::mem::take(&mut state.out).into())
}

/// The key of scrypt (RFC 7914) with `cost` = N, a power of two. Throws when that costs too much.
#[op2]
pub(crate) fn op_node_scrypt(
    #[buffer] password: &[u8],
    #[buffer] salt: &[u8],
    #[number] cost: u64,
    #[smi] r: u32,
    #[smi] p: u32,
    #[smi] length: u32,
) -> Result<Uint8Array, JsErrorBox> {
    let memory = cost.saturating_mul(u64::from(r)).saturating_mul(128);
    if memory > SCRYPT_MEMORY || memory.saturating_mul(u64::from(p)) > SCRYPT_WORK {
        return Err(JsErrorBox::range_error(format!(
            "scrypt may use {} MiB of memory and go over {} MiB in all (128 * N * r, and that times p)",
            SCRYPT_MEMORY >> 20,
            SCRYPT_WORK >> 20
        )));
    }
    let invalid = || JsErrorBox::range_error("Invalid scrypt params");
    let log = cost.checked_ilog2().and_then(|log| u8::try_from(log).ok()).ok_or_else(invalid)?;
    // The length in the parameters is for password hashes, which this is none.
    let params = scrypt::Params::new(log, r, p, 32).map_err(|_| invalid())?;
    let mut out = vec![0; length as usize];
    if !out.is_empty() {
        scrypt::scrypt(password, salt, &params, &mut out).map_err(|_| invalid())?;
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pbkdf2_in_steps_is_pbkdf2() {
        // RFC 6070, test case 5: longer than one block.
        let expected = "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038";
        for budget in [1, 7, 5000] {
            let mut state = State {
                key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"passwordPASSWORDpassword"),
                salt: b"saltSALTsaltSALTsaltSALTsaltSALTsalt".to_vec(),
                iterations: 4096,
                length: 25,
                out: Vec::new(),
                block: None,
            };
            while !state.step(budget) {}
            assert_eq!(state.out.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
        }
    }
}
