//! The compiled form of the rules: a tree of places in a message, and a tree of verdicts the places report to.
//!
//! A wanted object is taken apart into its members, so every check stands at exactly one place ([`Slot`]) and
//! everything else in a message is skipped without being built. `visit` runs it.

use super::rule::{Join, Rule, Wanted};

/// Index into [`Program::nodes`] or [`Program::slots`]; the limits in `rule` keep both below 2¹⁶ − 1.
pub(super) type Index = u16;

/// A place in the message: the message itself is slot 0.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The object key that leads here.
    pub(super) name: Box<str>,
    /// Places below, sorted by name.
    pub(super) children: Vec<Index>,
    /// What is wanted here.
    pub(super) checks: Vec<Check>,
    /// A check needs the value's own text: a number (exact comparison) or an array.
    pub(super) needs_text: bool,
}

/// One comparison at a place.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) wanted: Wanted,
    /// Whom the result is reported to.
    pub(super) node: Index,
}

/// A verdict made from others; node 0 is the whole filter's.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) join: Join,
    pub(super) parent: Option<Index>,
    /// How many checks and nodes report here.
    pub(super) inputs: Index,
}

/// Everything a message is run through.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) nodes: Vec<Node>,
    pub(super) slots: Vec<Slot>,
}

impl Program {
    /// Compiles rules that are joined by `join`.
    pub(super) fn new(rules: &[Rule], join: Join) -> Self {
        let mut program = Self {
            nodes: Vec::new(),
            slots: vec![Slot::default()],
        };
        let root = program.node(join, None);
        for rule in rules {
            program.add(rule, root);
        }
        for index in 0..program.slots.len() {
            let mut children = std::mem::take(&mut program.slots[index].children);
            children.sort_by(|a, b| {
                let name = |index: Index| &program.slots[usize::from(index)].name;
                name(*a).cmp(name(*b))
            });
            program.slots[index].children = children;
        }
        program
    }

    fn node(&mut self, join: Join, parent: Option<Index>) -> Index {
        let index = as_index(self.nodes.len());
        if let Some(parent) = parent {
            self.nodes[usize::from(parent)].inputs += 1;
        }
        self.nodes.push(Node {
            join,
            parent,
            inputs: 0,
        });
        index
    }

    fn add(&mut self, rule: &Rule, parent: Index) {
        match rule {
            Rule::Group(join, rules) => {
                let node = self.node(*join, Some(parent));
                for rule in rules {
                    self.add(rule, node);
                }
            }
            Rule::Leaf(leaf) => {
                let mut slot = 0;
                for segment in &leaf.path {
                    slot = self.child(slot, segment);
                }
                // One check can report straight to the group; several are a verdict of their own.
                let node = match &leaf.wanted {
                    Wanted::Object(members) if !members.is_empty() => {
                        self.node(Join::All, Some(parent))
                    }
                    _ => parent,
                };
                self.check(slot, &leaf.wanted, node);
            }
        }
    }

    fn check(&mut self, slot: Index, wanted: &Wanted, node: Index) {
        if let Wanted::Object(members) = wanted
            && !members.is_empty()
        {
            for (name, wanted) in members {
                let child = self.child(slot, name);
                self.check(child, wanted, node);
            }
            return;
        }
        self.nodes[usize::from(node)].inputs += 1;
        let slot = &mut self.slots[usize::from(slot)];
        slot.needs_text |= matches!(wanted, Wanted::Number(_) | Wanted::List(_));
        slot.checks.push(Check {
            wanted: wanted.clone(),
            node,
        });
    }

    fn child(&mut self, parent: Index, name: &str) -> Index {
        let known = &self.slots[usize::from(parent)].children;
        let found = known
            .iter()
            .find(|index| *self.slots[usize::from(**index)].name == *name);
        if let Some(index) = found {
            return *index;
        }
        let index = as_index(self.slots.len());
        self.slots.push(Slot {
            name: name.into(),
            ..Slot::default()
        });
        self.slots[usize::from(parent)].children.push(index);
        index
    }

    /// The place below `slot` that `name` leads to.
    pub(super) fn find(&self, slot: Index, name: &str) -> Option<Index> {
        let children = &self.slots[usize::from(slot)].children;
        children
            .binary_search_by(|index| (*self.slots[usize::from(*index)].name).cmp(name))
            .ok()
            .map(|position| children[position])
    }
}

/// The limits in `rule` allow 1,000 leaves × 32 segments + 4,096 values at most, so nothing is cut off here.
fn as_index(length: usize) -> Index {
    Index::try_from(length).unwrap_or(Index::MAX)
}
