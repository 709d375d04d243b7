//! Stacks as the author of a worker reads them.

/// A stack without the frames of the platform's own code, which say nothing to whoever wrote the worker.
pub(crate) fn without_platform(stack: &str) -> String {
    let platforms = |line: &&str| {
        let frame = line.strip_prefix("    at ");
        frame.is_some_and(|frame| frame.starts_with("ext:") || (frame.contains(" (ext:") && frame.ends_with(')')))
    };
    stack.lines().filter(|line| !platforms(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_platform_are_left_out() {
        let stack = "Error: at ext:a\n    at Object.fetch (file:///src/index.ts:1:61)\n    \
                     at Object.fetch (ext:atoll_web/entrypoint.js:129:56)\n    at ext:core/01.js:2:3\n    at file:///b.ts:1:1";
        let seen = without_platform(stack);
        assert_eq!(seen, "Error: at ext:a\n    at Object.fetch (file:///src/index.ts:1:61)\n    at file:///b.ts:1:1");
        assert_eq!(without_platform("text\n(ext:x)"), "text\n(ext:x)");
        assert_eq!(without_platform(""), "");
    }
}
