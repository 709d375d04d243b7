//! What callgrind writes (<https://valgrind.org/docs/manual/cl-format.html>), as far as an order of functions needs it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Context;

/// Which functions ran, and which they called.
#[derive(Debug, Default)]
pub struct Profile {
    functions: Vec<Function>,
}

#[derive(Debug, Default)]
struct Function {
    /// The symbol.
    name: String,
    /// Instructions of its own.
    own: u64,
    /// Those it called, by their index, with the instructions of those calls.
    calls: HashMap<usize, u64>,
    called: bool,
}

impl Profile {
    /// Reads a file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&String::from_utf8_lossy(&text)).with_context(|| format!("cannot make sense of {}", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut names = Names::default();
        let (mut current, mut callee) = (None, None);
        let mut profile = Self::default();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                current = Some(names.index(name, &mut profile)?);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                callee = Some(names.index(name, &mut profile)?);
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
                // Where, and how much. A line behind `calls=` is of the call.
                let cost: u64 = line.rsplit(' ').next().unwrap_or_default().parse().with_context(|| line.to_owned())?;
                let current = current.with_context(|| format!("{line:?} belongs to no function"))?;
                match callee.take() {
                    Some(callee) => {
                        *profile.functions[current].calls.entry(callee).or_default() += cost;
                        profile.functions[callee].called |= callee != current;
                    }
                    None => profile.functions[current].own += cost,
                }
            }
        }
        Ok(profile)
    }

    /// The functions of the program that ran for at least so many instructions, callers before those they called, the most
    /// expensive call first. Those whose symbols have one of `without` are left out, and who is called by these alone.
    pub fn order(&self, without: &[&str], least: u64) -> Vec<String> {
        let cost = |index: usize| self.functions[index].own + self.functions[index].calls.values().sum::<u64>();
        let mut roots: Vec<usize> = (0..self.functions.len()).filter(|index| !self.functions[*index].called).collect();
        // The last is taken first.
        roots.sort_by_key(|root| cost(*root));
        let (mut open, mut seen, mut order) = (roots, HashSet::new(), Vec::new());
        while let Some(index) = open.pop() {
            let function = &self.functions[index];
            if without.iter().any(|part| function.name.contains(part)) || !seen.insert(index) {
                continue;
            }
            if function.own >= least && is_placed_by_name(&function.name) {
                order.push(function.name.clone());
            }
            let mut callees: Vec<_> = function.calls.iter().collect();
            callees.sort_by_key(|(callee, cost)| (**cost, **callee));
            open.extend(callees.into_iter().map(|(callee, _)| *callee));
        }
        order
    }
}

/// Whether the linker finds a function by this symbol wherever the program is built: neither code that V8 has generated, nor what
/// the compiler has named after the place where it was compiled.
fn is_placed_by_name(symbol: &str) -> bool {
    let first = symbol.chars().next().unwrap_or_default();
    (first.is_ascii_alphabetic() || first == '_')
        && !symbol.starts_with("Builtins_")
        && !symbol.contains(".llvm.")
        && symbol.chars().all(|character| character.is_ascii_alphanumeric() || "_$.".contains(character))
}

/// Names are written once, `(1) name`, and are numbers from then on.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
}

impl Names {
    fn index(&mut self, text: &str, profile: &mut Profile) -> anyhow::Result<usize> {
        let (number, name) = match text.split_once(' ') {
            Some((number, name)) => (number, Some(name)),
            None => (text, None),
        };
        if let Some(name) = name {
            // A call within a call of the same function has a number behind its name.
            let symbol = name.split_once('\'').map_or(name, |(symbol, _)| symbol);
            let index = *self.symbols.entry(symbol.to_owned()).or_insert_with(|| {
                profile.functions.push(Function { name: symbol.to_owned(), ..Function::default() });
                profile.functions.len() - 1
            });
            self.numbers.insert(number.to_owned(), index);
        }
        self.numbers.get(number).copied().with_context(|| format!("{text:?} was not named before"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "events: Ir\n\nfl=(1) a.rs\nfn=(1) root\n10 5\ncfn=(2) cheap\ncalls=2 7\n11 30\ncfn=(3) dear\ncalls=1 1\n\
        +2 400\n\nfn=(2)\n7 30\n\nfn=(3) dear\n1 300\ncfn=(4) dear'2\ncalls=1 1\n* 60\ncfn=(5) below\ncalls=1 1\n* 100\n\n\
        fn=(4)\n1 60\n\nfn=(5)\n3 100\n\nfn=(6) Builtins_Call\n1 9\n\nfn=(7) 0x0000001\n1 9\n\nfn=(8) moved.llvm.123\n1 9\n";

    #[test]
    fn functions_come_in_the_order_of_calls() {
        let profile = Profile::parse(FILE).unwrap();
        assert_eq!(profile.order(&[], 1), ["root", "dear", "below", "cheap"]);
        assert_eq!(profile.order(&[], 50), ["dear", "below"]);
        assert_eq!(profile.order(&["dear"], 1), ["root", "cheap"]);
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert!(Profile::parse("fn=(1)\n1 2\n").is_err());
        assert!(Profile::parse("1 2\n").is_err());
        assert!(Profile::parse("fn=(1) a\n1 x\n").is_err());
    }
}
