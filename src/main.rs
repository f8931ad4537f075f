//! The `windsock` command.

fn main() {}
