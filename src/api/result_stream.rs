//! [`result_stream`]: the part of a result that a script tells while it runs, by printing lines `WM_STREAM: …`
//! (windmill-facts §2.5). Pure: logs in, text out.

/// How such a line begins.
const MARK: &str = "WM_STREAM: ";

/// The text of all whole lines so far; a line break within a piece was printed as `\n`.
pub(super) fn result_stream(logs: &str) -> String {
    if memchr::memmem::find(logs.as_bytes(), MARK.as_bytes()).is_none() {
        return String::new();
    }
    logs.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.strip_prefix(MARK))
        .map(|piece| piece.replace("\\n", "\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_marked_lines_are_part_of_it() {
        let logs = "log\nWM_STREAM: a\\nb\nx WM_STREAM: no\nWM_STREAM:  c\nWM_STREAM: not yet";
        assert_eq!(result_stream(logs), "a\nb c");
        assert_eq!(result_stream("log\n"), "");
    }
}
