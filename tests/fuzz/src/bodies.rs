//! What the API is sent: bodies by the number of their type, queries, YAML. Taken, or refused with a reason.

pub(crate) fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    if let Err(refusal) = windsock::api::fuzzed::read(*kind, body) {
        // Control characters that it repeats become escapes where it is sent.
        assert!(!refusal.trim().is_empty());
    }
}
