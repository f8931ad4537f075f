//! What keeps jobs away from the server and from each other, beyond the limits of one process.
//!
//! [`files`]: which files a job may open, and that it reaches no process outside its own (Landlock);
//! [`users`]: another user for each process of jobs, when windsock is root; [`watch`]: the memory and the
//! number of processes of a whole job. `process` puts them around a child. What the kernel does not offer is
//! said once at the start and left out: a job must not fail because a machine is old.

pub(crate) mod files;
pub(crate) mod users;
pub(crate) mod watch;

/// Says once how jobs are contained, and what is missing.
pub(crate) fn report() {
    for what in files::missing() {
        log::warn!("jobs are contained less than they could be: {what}");
    }
    match users::all() {
        Ok(users) => {
            log::info!(first:% = users.first(); "each process of jobs runs as a user of its own");
        }
        // Not a fault: whoever does not give a server root has a reason.
        Err(why) => log::info!("jobs have no users of their own: {why}"),
    }
}
