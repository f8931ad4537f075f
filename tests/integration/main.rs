//! One binary for every integration test: it links once.

fn main() {}
