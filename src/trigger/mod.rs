//! THE DATA PLANE, IN: from a trigger's row to committed jobs, and back to the socket with their results.
//!
//! [`spec`] holds what an owner configured and compiles it; [`filter`] and [`template`] are what it compiles to. These
//! are pure. `setup` joins them with the row. [`Registry`] makes what runs equal to the rows and owns every `socket`;
//! a socket dials through `handshake` (`connector`, `guard`, `proxy`, `tls`, `refusal`), decides with
//! `filter_pool`, and hands on to the queue. `reply` finds the socket of a result, `status` shows it all.
//!
//! `tryouts` owns the connections of no saved trigger, which `socket/role.rs` tells apart; `trial` is what is seen of one.
//! `captures` is its part that keeps messages for editors, `notes` writes down what sockets leave for people.
//!
//! Others send [`Reconcile`] and [`StopAll`], and read the [`Board`]. What runs a job is not known here.

mod attempt;
mod captures;
mod clock;
mod connector;
mod counted;
mod farewell;
pub mod filter;
mod filter_pool;
mod guard;
mod handshake;
mod leases;
mod notes;
mod proxy;
mod rate;
mod refusal;
mod registry;
mod reply;
mod sampler;
mod save;
mod setup;
mod share;
mod socket;
pub mod spec;
pub mod status;
pub mod template;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod transport;
mod trial;
mod tryouts;

pub use self::{
    attempt::{ConnectError, Stage, Step},
    captures::{CapturesChanged, StopCaptures, capture_settings},
    clock::Clock,
    connector::{AddressCheck, Dialer},
    farewell::Farewells,
    filter_pool::FilterPool,
    notes::{Notes, Scribe, WriteAll},
    rate::Rates,
    registry::{Exhausted, Hearing, Reconcile, Registry, StopAll, Threads},
    reply::{Connections, Replies},
    save::check_at_save,
    setup::Setup,
    socket::Common,
    status::{Board, Dropped, Live, Sample, Tail, TriggerState, TriggerStatus, Verdict},
    trial::{ServerAnswer, TrialEvent, TrialMessage},
    tryouts::{NotTried, Trial, Tryouts},
};
