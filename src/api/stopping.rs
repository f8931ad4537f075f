//! `Stopping`: whether this server is being stopped. `system` begins it; sockets of watching browsers, which nothing else
//! would end, hear it, so that people are told at once and the stop waits for no open page.

use std::future::Future;

use tokio::sync::watch;

/// Told once and for good; a clone tells and hears the same.
#[derive(Debug, Clone, Default)]
pub struct Stopping(watch::Sender<bool>);

impl Stopping {
    /// Tells everybody who waits.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it begins.
    pub(super) fn begun(&self) -> impl Future<Output = ()> + use<> {
        let mut heard = self.0.subscribe();
        async move {
            // An error says that nobody is left to tell it: the server has gone.
            let _ = heard.wait_for(|begun| *begun).await;
        }
    }
}
