//! [`Links`]: which workspaces run their scripts and flows in a Windmill elsewhere, as this process knows it.
//!
//! Looked up for every claimed job, so it is kept in memory and read again once a second.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    db::{Conn, DbError, Pool, remote, variable},
    queue::Job,
    types::JobKind,
};

/// How old what is known may be: an edit counts within this time.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Where the jobs of a workspace run.
#[derive(Debug)]
pub(crate) struct Link {
    /// The Windmill's address, without a slash at its end.
    pub(crate) base_url: String,
    /// The workspace there.
    pub(crate) workspace: String,
    /// What it is asked with; or why there is none.
    pub(crate) token: Result<String, String>,
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    read: Option<Instant>,
    by_workspace: HashMap<String, Arc<Link>>,
}

impl Links {
    /// Reads the links again if they are old. Call it before jobs are claimed.
    ///
    /// # Errors
    /// They cannot be read and never were; what was known stays otherwise.
    pub(crate) async fn refresh(&self, pool: &Pool) -> Result<(), DbError> {
        let known = self.0.lock().read;
        if known.is_some_and(|read| read.elapsed() < KNOWN_FOR) {
            return Ok(());
        }
        match pool.run(load).await {
            Ok(by_workspace) => {
                *self.0.lock() = Known {
                    read: Some(Instant::now()),
                    by_workspace,
                };
                Ok(())
            }
            Err(_) if known.is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the workspace has one.
    pub(crate) fn has(&self, workspace: &str) -> bool {
        self.0.lock().by_workspace.contains_key(workspace)
    }

    /// Where `job` runs, if not here. Previews and the parts of flows that run here stay here.
    pub(crate) fn of(&self, job: &Job) -> Option<Arc<Link>> {
        let known = self.0.lock();
        if known.by_workspace.is_empty() {
            return None;
        }
        let saved = matches!(
            job.kind.parse(),
            Ok(JobKind::Script | JobKind::SingleStepFlow | JobKind::Flow)
        );
        known
            .by_workspace
            .get(&job.workspace_id)
            .filter(|_| saved)
            .cloned()
    }
}

fn load(conn: &mut Conn) -> Result<HashMap<String, Arc<Link>>, DbError> {
    let mut links = HashMap::new();
    for row in remote::all(conn)? {
        let path = row.token_variable;
        let variable = variable::by_path(conn, &row.workspace_id, &path);
        let token = match variable {
            Ok(Some(variable)) => Ok(variable.value),
            Ok(None) => Err(format!("variable '{path}', which holds the token, is gone")),
            Err(error) if error.is_the_rows_fault() => Err(format!("variable '{path}': {error}")),
            Err(error) => return Err(error),
        };
        let link = Link {
            base_url: row.base_url,
            workspace: row.workspace,
            token,
        };
        links.insert(row.workspace_id, Arc::new(link));
    }
    Ok(links)
}
