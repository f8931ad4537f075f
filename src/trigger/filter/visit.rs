//! One pass over a message: serde visitors that follow the [`Program`]'s places and skip the rest.
//!
//! Stops at the first certain mismatch; a match is only known at the message's end.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    contain,
    program::{Index, Program},
    rule::{Join, Wanted},
};

/// Places and verdicts of an ordinary filter: their state lives on the stack.
const SMALL: usize = 64;

/// In `Run::open`: the verdict is known.
const DECIDED: Index = Index::MAX;

/// What a pass found out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The whole message was read and the filter holds.
    Match,
    /// The filter does not hold, whatever the rest of the message is.
    Mismatch,
    /// The parser gave up: no JSON, or JSON it cannot represent (a number beyond a double, half a surrogate pair).
    Unreadable,
}

/// Runs `message` through `program`.
pub(super) fn run(program: &Program, message: &str) -> Outcome {
    let (nodes, slots) = (program.nodes.len(), program.slots.len());
    let (mut few_nodes, mut few_slots) = ([0; SMALL], [false; SMALL]);
    let (mut many_nodes, mut many_slots) = (Vec::new(), Vec::new());
    let open: &mut [Index] = if nodes <= SMALL {
        &mut few_nodes[..nodes]
    } else {
        many_nodes.resize(nodes, 0);
        &mut many_nodes
    };
    let seen: &mut [bool] = if slots <= SMALL {
        &mut few_slots[..slots]
    } else {
        many_slots.resize(slots, false);
        &mut many_slots
    };
    for (open, node) in open.iter_mut().zip(&program.nodes) {
        *open = node.inputs;
    }
    let mut run = Run {
        program,
        open,
        seen,
        verdict: None,
    };
    let mut input = serde_json::Deserializer::from_str(message);
    let whole = input
        .deserialize_map(Members {
            run: &mut run,
            slot: 0,
        })
        .and_then(|()| input.end());
    match (run.verdict, whole) {
        (Some(false), _) => Outcome::Mismatch,
        (Some(true), Ok(())) => Outcome::Match,
        _ => Outcome::Unreadable,
    }
}

/// The state of one pass.
struct Run<'p> {
    program: &'p Program,
    /// For each node the inputs that have not reported, or [`DECIDED`].
    open: &'p mut [Index],
    /// For each slot whether its key was met: of duplicates only the first counts.
    seen: &'p mut [bool],
    /// The whole filter's verdict, once certain.
    verdict: Option<bool>,
}

impl Run<'_> {
    /// Takes one result and passes what becomes certain by it upwards.
    fn report(&mut self, mut node: Index, mut result: bool) {
        loop {
            let at = usize::from(node);
            let join = self.program.nodes[at].join;
            if self.open[at] == DECIDED {
                return;
            }
            result = match (join, result) {
                (Join::All, false) | (Join::None, true) => false,
                (Join::Any, true) => true,
                _ => {
                    self.open[at] -= 1;
                    if self.open[at] > 0 {
                        return;
                    }
                    join != Join::Any
                }
            };
            self.open[at] = DECIDED;
            match self.program.nodes[at].parent {
                Some(parent) => node = parent,
                None => {
                    self.verdict = Some(result);
                    return;
                }
            }
        }
    }

    /// Reports every check of `slot` by `holds`.
    fn judge(&mut self, slot: Index, holds: impl Fn(&Wanted) -> bool) {
        for check in &self.program.slots[usize::from(slot)].checks {
            self.report(check.node, holds(&check.wanted));
        }
    }

    /// Nothing is at `slot`: what is wanted there and below is missed.
    fn miss(&mut self, slot: Index) {
        self.judge(slot, |_| false);
        self.miss_below(slot);
    }

    fn miss_below(&mut self, slot: Index) {
        for child in &self.program.slots[usize::from(slot)].children {
            self.miss(*child);
        }
    }

    /// A value that is no object, judged by `holds`, is at `slot`.
    fn plain<E: Error>(&mut self, slot: Index, holds: impl Fn(&Wanted) -> bool) -> Result<(), E> {
        self.judge(slot, holds);
        self.miss_below(slot);
        self.go_on()
    }

    /// An error once the filter certainly does not hold: it ends the pass.
    fn go_on<E: Error>(&self) -> Result<(), E> {
        match self.verdict {
            Some(false) => Err(E::custom("mismatch")),
            _ => Ok(()),
        }
    }
}

/// The value at a place.
struct Place<'r, 'p> {
    run: &'r mut Run<'p>,
    slot: Index,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        let Self { run, slot } = self;
        if !run.program.slots[usize::from(slot)].needs_text {
            return input.deserialize_any(Self { run, slot });
        }
        let text = <&RawValue as serde::Deserialize>::deserialize(input)?.get();
        run.judge(slot, |wanted| contain::contains(wanted, text));
        run.go_on()?;
        if run.program.slots[usize::from(slot)].children.is_empty() {
            return Ok(());
        }
        if text.starts_with('{') {
            return serde_json::Deserializer::from_str(text)
                .deserialize_map(Members { run, slot })
                .map_err(Error::custom);
        }
        run.miss_below(slot);
        run.go_on()
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.run
            .plain(self.slot, |wanted| *wanted == Wanted::Bool(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.run.plain(self.slot, |wanted| *wanted == Wanted::Null)
    }

    // Numbers come here only where none is wanted; see `Slot::needs_text`.
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.run.plain(self.slot, |_| false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.run.plain(self.slot, |_| false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.run.plain(self.slot, |_| false)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.run.plain(
            self.slot,
            |wanted| matches!(wanted, Wanted::Text(text) if text == value),
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.run.plain(self.slot, |_| false)?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        // Only the empty object is left as a check of its own; any object contains it.
        self.run
            .judge(self.slot, |wanted| matches!(wanted, Wanted::Object(_)));
        self.run.go_on()?;
        Members {
            run: self.run,
            slot: self.slot,
        }
        .visit_map(entries)
    }
}

/// The entries of an object at a place whose own checks are done.
struct Members<'r, 'p> {
    run: &'r mut Run<'p>,
    slot: Index,
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { run, slot } = self;
        let mut left = run.program.slots[usize::from(slot)].children.len();
        while left > 0 && run.verdict.is_none() {
            let name = Name {
                program: run.program,
                slot,
            };
            match entries.next_key_seed(name)? {
                Some(Some(child)) if !run.seen[usize::from(child)] => {
                    run.seen[usize::from(child)] = true;
                    left -= 1;
                    entries.next_value_seed(Place { run, slot: child })?;
                }
                Some(_) => {
                    entries.next_value::<IgnoredAny>()?;
                }
                None => {
                    for child in &run.program.slots[usize::from(slot)].children {
                        if !run.seen[usize::from(*child)] {
                            run.miss(*child);
                        }
                    }
                    return run.go_on();
                }
            }
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// An object's key: the place it leads to, if any.
struct Name<'p> {
    program: &'p Program,
    slot: Index,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<Index>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Option<Index>, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<Index>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<Index>, E> {
        Ok(self.program.find(self.slot, name))
    }
}
