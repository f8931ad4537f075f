//! CONTROL PLANE: the HTTP API and the page (contract section 8, windmill-facts §2).
//!
//! A handler says who asks, what for, where, and what the answer is; rules live beside it, SQL in `db`,
//! effects in a message. `table` is every route on one screen; the router and the OpenAPI document are both
//! made from it. Nobody imports this module but `system`, which fills in [`Parts`].

mod accounts;
mod alerts;
mod answer;
mod archive;
mod audit;
mod auth;
mod beyond;
mod capture;
mod client_address;
mod connection_log;
mod convert;
mod dependencies;
mod describe;
mod elsewhere;
mod error;
mod extract;
mod flow_list;
mod flow_steps;
mod flow_versions;
mod flows;
mod folder_rules;
mod folders;
#[cfg(fuzzing)]
pub mod fuzzed;
mod groups;
mod held;
mod job_contents;
mod job_flow;
mod job_notes;
mod job_search;
mod job_view;
mod jobs_again;
mod jobs_cancel;
mod jobs_delete;
mod jobs_list;
mod jobs_preview;
mod jobs_read;
mod jobs_restart;
mod jobs_run;
mod jobs_stream;
mod jobs_update;
mod jobs_wait;
mod labels;
mod live;
mod measures;
mod members;
mod message_samples;
mod ordered;
mod ports;
mod remote;
mod resources;
mod result_stream;
mod scripts;
mod serve;
mod server;
mod server_settings;
mod session;
mod sharing;
mod standing;
mod stopping;
mod trigger_list;
mod triggers;
mod tryout;
mod ui;
mod users;
mod uses;
mod variables;
mod workspaces;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use actix_web::{FromRequest, Handler, HttpRequest, Responder, guard, middleware::from_fn, web};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};
use tokio::sync::broadcast;

pub use self::measures::History;
pub use self::ports::{ConnectionTest, Installed, Listening, ScriptCheck, ScriptFacts};
pub use self::serve::{Listeners, server};
pub use self::stopping::Stopping;
use self::{
    describe::{Description, Gives, Takes},
    error::Error,
};
use crate::{
    access::Passwords,
    config::Config,
    db::{self, Conn, DbError, Pool},
    queue::Queue,
    trigger::status::Board,
};

/// Changes of triggers that a slow watcher may be behind by; past it, it loads the list again.
const CHANGES: usize = 256;
/// What the API works with; `system.rs` fills it in.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// The jobs.
    pub queue: Queue,
    /// What this server's listeners say of themselves.
    pub board: Board,
    /// The side that listens.
    pub listening: Arc<dyn Listening>,
    /// Reads scripts before they are saved.
    pub script_check: Arc<dyn ScriptCheck>,
    /// The last hour of this process.
    pub history: History,
    /// The settings.
    pub config: Arc<Config>,
}

/// What handlers share. One per process; workers hold clones of the same.
pub struct State {
    pool: Pool,
    queue: Queue,
    board: Board,
    listening: Arc<dyn Listening>,
    script_check: Arc<dyn ScriptCheck>,
    history: History,
    config: Arc<Config>,
    stopping: Stopping,
    attempts: auth::Attempts,
    passwords: Passwords,
    changes: broadcast::Sender<TriggerChange>,
    document: OnceLock<String>,
}

/// A trigger was changed through this server's API.
#[derive(Debug, Clone)]
struct TriggerChange {
    workspace: String,
    op: &'static str,
    path: String,
}

impl State {
    /// The state of a server made of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            pool: parts.pool,
            queue: parts.queue,
            board: parts.board,
            listening: parts.listening,
            script_check: parts.script_check,
            history: parts.history,
            config: parts.config,
            stopping: Stopping::default(),
            attempts: auth::Attempts::default(),
            passwords: Passwords::default(),
            changes: broadcast::channel(CHANGES).0,
            document: OnceLock::new(),
        }
    }

    /// What tells those who watch that this server is being stopped.
    #[must_use]
    pub fn stopping(&self) -> Stopping {
        self.stopping.clone()
    }

    /// Runs `work` with a connection on a thread that may block.
    async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Conn) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.pool.run(move |conn| Ok(work(conn))).await?
    }

    /// As [`State::run`], in one transaction; an error undoes everything.
    async fn transaction<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Conn) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.run(move |conn| {
            let mut failed = None;
            let outcome = db::transaction(conn, |conn| {
                work(conn).map_err(|error| {
                    failed = Some(error);
                    // Only makes the transaction roll back.
                    DbError::Lost
                })
            });
            match (outcome, failed) {
                (Ok(value), _) => Ok(value),
                (Err(_), Some(error)) => Err(error),
                (Err(error), None) => Err(error.into()),
            }
        })
        .await
    }

    /// Tells the listening side and everybody who watches that a trigger was changed.
    async fn trigger_changed(&self, workspace: &str, op: &'static str, path: &str) {
        self.listening.reconcile().await;
        // An error only says that nobody watches.
        let _ = self.changes.send(TriggerChange {
            workspace: workspace.to_owned(),
            op,
            path: path.to_owned(),
        });
    }

    fn trigger_changes(&self) -> broadcast::Receiver<TriggerChange> {
        self.changes.subscribe()
    }

    /// The OpenAPI document as JSON.
    fn document(&self) -> &str {
        self.document
            .get_or_init(|| describe::document(table()).to_json().unwrap_or_default())
    }
}

/// The methods routes are asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Delete,
}

/// One route: for the router, and for the document.
struct Route {
    method: Method,
    path: &'static str,
    summary: &'static str,
    description: Description,
    route: actix_web::Route,
}

/// Routes below one prefix; a group is one scope, so that a request is compared with few patterns.
struct Group {
    prefix: &'static str,
    name: &'static str,
    routes: Vec<Route>,
}

/// Routes that `HEAD` does not ask.
const GOES_ON: [&str; 4] = [
    "/run_wait_result",
    "/run_and_stream",
    "/getupdate_sse",
    "/live",
];

fn route<F, Args, A>(method: Method, path: &'static str, summary: &'static str, handler: F) -> Route
where
    F: Handler<Args, Output = Result<A, Error>>,
    Args: FromRequest + Takes + 'static,
    A: Responder + Gives + 'static,
{
    let mut description = Description::default();
    Args::takes(&mut description);
    A::gives(&mut description);
    let route = match method {
        // Monitors ask so. What runs something, or goes on, is not for them.
        Method::Get if !GOES_ON.iter().any(|start| path.starts_with(start)) => {
            web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
        }
        Method::Get => web::get(),
        Method::Post => web::post(),
        Method::Delete => web::delete(),
    };
    Route {
        method,
        path,
        summary,
        description,
        route: route.to(handler),
    }
}

/// Writes a group of routes as one line each: method, path, handler, purpose.
macro_rules! group {
    ($prefix:literal, $name:literal; $($method:ident $path:literal $handler:path, $summary:literal;)+) => {
        Group {
            prefix: $prefix,
            name: $name,
            routes: vec![$(route(Method::$method, $path, $summary, $handler)),+],
        }
    };
}

/// Every route, grouped by what it is about.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<Group> {
    vec![
        group! { "/version", "server"; Get "" server::version, "The version, as text"; },
        group! { "/health", "server"; Get "/status" server::health, "Whether the server can do its work"; },
        group! { "/openapi.json", "server"; Get "" server::openapi, "This document"; },
        group! { "/settings/global", "server"; Get "/{path}" server_settings::global, "A setting that clients of Windmill ask for"; },
        group! { "/settings/server", "server"; Get "" server_settings::get, "What the server was started with"; },
        group! { "/settings/job_retention", "server";
            Post "" server_settings::keep_jobs, "Chooses how long ended jobs are kept";
            Delete "" server_settings::keep_jobs_as_started, "Keeps ended jobs as the server was started";
        },
        group! { "/settings/critical_alerts", "alerts";
            Get "" alerts::list, "Alerts of all workspaces";
            Post "/acknowledge_all" alerts::acknowledge_all, "Acknowledges all alerts";
            Post "/mute" alerts::mute, "Raises no more alerts, or does again";
            Post "/{path}/acknowledge" alerts::acknowledge, "Acknowledges one alert";
        },
        group! { "/w/{workspace}/workspaces/critical_alerts", "alerts";
            Get "" alerts::list, "Alerts: triggers that have failed for too long";
            Post "/acknowledge_all" alerts::acknowledge_all, "Acknowledges all alerts of the workspace";
            Post "/mute" alerts::mute, "Raises no more alerts of the workspace, or does again";
            Post "/{path}/acknowledge" alerts::acknowledge, "Acknowledges one alert";
        },
        group! { "/w/{workspace}/stats", "stats"; Get "" measures::stats, "The last hour in steps of ten seconds"; },
        group! { "/auth", "login";
            Post "/login" session::login, "Logs in with a password";
            Post "/session" session::start, "Exchanges a token for a session cookie";
            Post "/logout" session::end, "Ends the session";
        },
        group! { "/users", "users";
            Get "/whoami" users::global_whoami, "Who one is";
            Post "/create" accounts::create, "Adds a person to the server";
            Post "/setpassword" accounts::set_own_password, "Sets one's password";
            Post "/set_password_of/{path}" accounts::set_password_of, "Sets somebody's password";
            Post "/update/{path}" accounts::update, "Changes what a person may do on the server";
            Delete "/delete/{path}" accounts::delete, "Removes a person from the server";
            Get "/list_as_super_admin" accounts::list, "The people of the server";
            Get "/exists/{path}" accounts::exists, "Whether the server has a person of that address";
            Post "/tokens/create" users::create_token, "Makes a token";
            Get "/tokens/list" users::list_tokens, "One's tokens";
            Delete "/tokens/delete/{path}" users::delete_token, "Ends a token, by its prefix";
        },
        group! { "/workspaces", "workspaces";
            Get "/list" workspaces::list, "One's workspaces";
            Get "/users" workspaces::of_user, "One's workspaces and names";
            Post "/exists" workspaces::exists, "Whether a workspace exists";
            Post "/create" workspaces::create, "Makes a workspace";
        },
        group! { "/w/{workspace}/workspaces", "workspaces";
            Get "/tarball" archive::tarball, "Everything in a workspace, as an archive of files";
            Post "/add_user" members::add, "Adds a user";
            Get "/used_triggers" trigger_list::used, "Which kinds of triggers there are";
            Get "/list_ws_specific" archive::list_ws_specific, "Items that differ between workspaces: none";
            Get "/remote" remote::get, "The Windmill that runs the workspace's scripts and flows";
            Post "/remote" remote::set, "Has a Windmill run the workspace's scripts and flows";
            Delete "/remote" remote::unset, "Has scripts and flows run here again";
        },
        group! { "/yaml", "conversion";
            Post "/to_json" convert::to_json, "YAML as JSON, keys in their order";
            Post "/from_json" convert::to_yaml, "JSON as YAML, keys in their order";
        },
        group! { "/w/{workspace}/users", "users";
            Get "/whoami" users::whoami, "Who one is in the workspace";
            Get "/list" users::list, "Users";
            Get "/list_usernames" members::list_usernames, "The names of users";
            Get "/get/{path}" members::get, "One user";
            Post "/update/{path}" members::update, "Changes what a user may do";
            Delete "/delete/{path}" members::delete, "Takes a user out of the workspace";
            Get "/username_to_email/{path}" users::username_to_email, "The address of a user";
        },
        group! { "/audit", "audit log";
            Get "/list" audit::list, "Who changed what, on the whole server";
            Get "/get/{path}" audit::get, "One entry of the whole server";
        },
        group! { "/w/{workspace}/audit", "audit log";
            Get "/list" audit::list, "Who changed what";
            Get "/get/{path}" audit::get, "One entry";
        },
        group! { "/w/{workspace}/triggers_history", "audit log"; Get "/list" audit::of_triggers, "What was done to triggers"; },
        group! { "/w/{workspace}/scripts", "scripts";
            Post "/create" scripts::create, "Saves a script or a new version";
            Post "/check" convert::check_script, "Reads a script without saving it";
            Get "/get/p/{path:.*}" scripts::get_by_path, "The newest version at a path";
            Get "/get/h/{path}" scripts::get_by_hash, "One version";
            Get "/raw/p/{path:.*}" scripts::raw_by_path, "The text at a path";
            Get "/raw/h/{path}" scripts::raw_by_hash, "The text of one version";
            Get "/exists/p/{path:.*}" scripts::exists, "Whether there is a script at a path";
            Get "/list" scripts::list, "Scripts";
            Get "/list_paths" scripts::list_paths, "Paths of scripts";
            Get "/history/p/{path:.*}" scripts::history, "The versions at a path";
            Get "/get_latest_version/{path:.*}" scripts::latest_version, "The newest version at a path, in short";
            Get "/deployment_status/h/{path}" scripts::deployment_status, "What became of a deployment";
            Get "/get_triggers_count/{path:.*}" scripts::triggers_count, "How many triggers run a script";
            Get "/used_by/{path:.*}" uses::of_script, "The triggers and flows that use a script";
            Post "/archive/p/{path:.*}" scripts::archive_path, "Archives the script at a path";
            Post "/archive/h/{path}" scripts::archive_hash, "Archives one version";
            Post "/delete/p/{path:.*}" scripts::delete_path, "Deletes the script at a path";
            Post "/delete/h/{path}" scripts::delete_hash, "Deletes one version";
        },
        group! { "/w/{workspace}/flows", "flows";
            Post "/create" flows::create, "Saves a flow";
            Post "/check" convert::check_flow, "Reads a flow without saving it";
            Post "/update/{path:.*}" flows::update, "Saves a new version of a flow";
            Get "/get/v/{path}" flow_versions::get_version, "One version";
            Get "/get/{path:.*}" flows::get, "The newest version at a path";
            Get "/exists/{path:.*}" flows::exists, "Whether there is a flow at a path";
            Get "/list" flow_list::list, "Flows";
            Get "/list_paths" flow_list::list_paths, "Paths of flows";
            Get "/history/p/{path:.*}" flow_versions::history, "The versions at a path";
            Get "/get_latest_version/{path:.*}" flow_versions::latest_version, "The newest version at a path, in short";
            Get "/deployment_status/p/{path:.*}" flow_versions::deployment_status, "What became of a deployment";
            Get "/get_triggers_count/{path:.*}" flow_versions::triggers_count, "How many triggers run a flow";
            Get "/used_by/{path:.*}" uses::of_flow, "The triggers and flows that use a flow";
            Post "/archive/{path:.*}" flows::archive, "Archives the flow at a path, or brings it back";
            Delete "/delete/{path:.*}" flows::delete, "Deletes the flow at a path";
        },
        group! { "/w/{workspace}/websocket_triggers", "websocket triggers";
            Post "/create" triggers::create, "Makes a trigger";
            Post "/update/{path:.*}" triggers::update, "Replaces a trigger's settings";
            Delete "/delete/{path:.*}" triggers::delete, "Removes a trigger";
            Get "/get/{path:.*}" triggers::get, "One trigger";
            Get "/yaml/{path:.*}" convert::trigger_yaml, "One trigger as the file of wmill sync";
            Get "/list" trigger_list::list, "Triggers";
            Get "/exists/{path:.*}" triggers::exists, "Whether there is a trigger at a path";
            Post "/setmode/{path:.*}" triggers::set_mode, "Enables, disables or suspends a trigger";
            Post "/setenabled/{path:.*}" triggers::set_enabled, "Switches a trigger on or off";
            Get "/status/{path:.*}" triggers::status, "Where a trigger is, and its counters";
            Get "/log/{path:.*}" connection_log::log, "What happened to a trigger's connection: its last 200 events";
            Post "/test" tryout::test, "Tries a connection out";
            Post "/try" tryout::draft, "Tries unsaved settings out, step by step, and follows the messages (NDJSON)";
            Post "/try/{path:.*}" tryout::saved, "Tries a trigger's settings out, step by step, and follows the messages (NDJSON)";
            Post "/explain" tryout::explain, "Why filters want messages or not";
            Get "/live" live::live, "Statuses, jobs and messages as they come (a WebSocket)";
        },
        group! { "/w/{workspace}/trigger/websocket", "websocket triggers";
            Post "/resume_suspended_trigger_jobs/{path:.*}" held::resume, "Has jobs run that a suspended trigger holds";
            Post "/cancel_suspended_trigger_jobs/{path:.*}" held::discard, "Ends jobs that a suspended trigger holds";
        },
        group! { "/w/{workspace}/jobs", "jobs";
            Post "/run/p/{path:.*}" jobs_run::run_script, "Runs the script at a path";
            Post "/run/h/{path}" jobs_run::run_version, "Runs one version of a script";
            Post "/run/f/{path:.*}" jobs_run::run_flow, "Runs the flow at a path";
            Post "/run/fv/{path}" jobs_run::run_flow_version, "Runs one version of a flow";
            Post "/run/batch_rerun_jobs" jobs_again::again, "Runs jobs that have ended again";
            Post "/run/dependencies_async" dependencies::of_script, "Starts a job that tells a script's lock";
            Post "/run/flow_dependencies_async" dependencies::of_flow, "Starts a job that tells a flow's locks";
            Post "/run/preview" jobs_preview::run_preview, "Runs a script that is not saved";
            Post "/run/preview_flow" jobs_preview::run_preview_flow, "Runs a flow that is not saved";
            Post "/run_wait_result/preview" jobs_preview::wait_preview, "Runs a script that is not saved and waits for its result";
            Post "/run_inline/preview" jobs_preview::wait_preview, "The same, as scripts ask for it";
            Post "/run_wait_result/preview_flow" jobs_preview::wait_preview_flow, "Runs a flow that is not saved and waits for its result";
            Post "/run_wait_result/p/{path:.*}" jobs_wait::wait_script, "Runs a script and waits for its result";
            Get "/run_wait_result/p/{path:.*}" jobs_wait::wait_script_get, "Runs a script and waits for its result";
            Post "/run_wait_result/h/{path}" jobs_wait::wait_version, "Runs a version and waits for its result";
            Get "/run_wait_result/h/{path}" jobs_wait::wait_version_get, "Runs a version and waits for its result";
            Post "/run_wait_result/f/{path:.*}" jobs_wait::wait_flow, "Runs a flow and waits for its result";
            Get "/run_wait_result/f/{path:.*}" jobs_wait::wait_flow_get, "Runs a flow and waits for its result";
            Post "/run_wait_result/fv/{path}" jobs_wait::wait_flow_version, "Runs a version of a flow and waits for its result";
            Get "/run_wait_result/fv/{path}" jobs_wait::wait_flow_version_get, "Runs a version of a flow and waits for its result";
            Post "/run_and_stream/p/{path:.*}" jobs_stream::stream_script, "Runs a script and follows it";
            Get "/run_and_stream/p/{path:.*}" jobs_stream::stream_script_get, "Runs a script and follows it";
            Post "/run_and_stream/h/{path}" jobs_stream::stream_version, "Runs a version and follows it";
            Get "/run_and_stream/h/{path}" jobs_stream::stream_version_get, "Runs a version and follows it";
            Post "/run_and_stream/f/{path:.*}" jobs_stream::stream_flow, "Runs a flow and follows it";
            Get "/run_and_stream/f/{path:.*}" jobs_stream::stream_flow_get, "Runs a flow and follows it";
            Post "/run_and_stream/fv/{path}" jobs_stream::stream_flow_version, "Runs a version of a flow and follows it";
            Get "/run_and_stream/fv/{path}" jobs_stream::stream_flow_version_get, "Runs a version of a flow and follows it";
            Post "/restart/f/{id}" jobs_restart::restart, "Runs a flow that has ended again from a step";
            Post "/delete" jobs_delete::remove, "Deletes jobs that have ended, and their steps";
            Post "/completed/delete/{id}" jobs_delete::erase, "Deletes what a job got, came to and printed, and keeps that it ran";
            Get "/list" jobs_list::list, "Jobs, ended or not";
            Get "/list_filtered_uuids" jobs_list::list_ids, "The ids of jobs, ended or not";
            Get "/queue/list" jobs_list::list_queue, "Jobs that have not ended";
            Get "/queue/list_filtered_uuids" jobs_list::list_queue_ids, "The ids of jobs that have not ended";
            Get "/queue/count" jobs_list::count_queue, "How many jobs have not ended";
            Get "/worker_is_draining/{id}" jobs_read::worker_is_draining, "Whether the process that runs a job is stopping";
            Post "/queue/cancel_selection" jobs_cancel::cancel_selection, "Cancels several jobs";
            Get "/flow/user_states/{id}/{key}" job_notes::user_state, "A value that the steps of a flow share";
            Post "/flow/user_states/{id}/{key}" job_notes::set_user_state, "Writes a value that the steps of a flow share";
            Get "/result_by_id/{id}/{key}" job_flow::result_by_id, "What a step of a flow came to";
            Get "/completed/list" jobs_list::list_completed, "Jobs that have ended";
            Get "/completed/count" jobs_list::count_completed, "How many jobs have ended";
        },
        group! { "/w/{workspace}/jobs_u", "jobs";
            Get "/get/{id}" jobs_read::get, "One job";
            Get "/completed/get/{id}" jobs_read::get_completed, "One ended job";
            Get "/completed/get_result/{id}" jobs_read::get_result, "A job's result";
            Get "/completed/get_result_maybe/{id}" jobs_read::get_result_maybe, "A job's result, if there is one yet";
            Get "/completed/get_timing/{id}" jobs_read::get_timing, "How long a job took";
            Get "/get_logs/{id}" jobs_read::get_logs, "What a job printed";
            Get "/get_args/{id}" jobs_read::get_args, "A job's arguments";
            Get "/get_root_job_id/{id}" jobs_read::get_root_job_id, "The outermost job of a job's flow";
            Get "/getupdate/{id}" jobs_update::get_update, "What is new of a job";
            Get "/getupdate_sse/{id}" jobs_update::get_update_sse, "What is new of a job, as a stream";
            Post "/queue/cancel/{id}" jobs_cancel::cancel, "Cancels a job";
            Post "/queue/force_cancel/{id}" jobs_cancel::cancel, "Cancels a job";
        },
        group! { "/w/{workspace}/capture", "captures";
            Post "/set_config" capture::set_config, "Sets what is captured for the editor of a runnable";
            Post "/ping_config/{trigger_kind}/{kind}/{path:.*}" capture::ping, "Says that the editor is open: captures go on for 10 seconds";
            Get "/get_configs/{kind}/{path:.*}" capture::configs, "What is captured for a runnable";
            Get "/list/{kind}/{path:.*}" capture::list, "Captured messages, the newest first";
            Post "/move/{kind}/{path:.*}" capture::rename, "Follows a runnable to another path";
            Get "/{id}" capture::get, "One captured message";
            Delete "/{id}" capture::delete, "Removes a captured message";
        },
        group! { "/w/{workspace}/message_samples", "message samples";
            Post "/create" message_samples::create, "Keeps a message under a name";
            Get "/list/{kind}/{path:.*}" message_samples::list, "The messages kept of a trigger or runnable";
            Delete "/delete/{kind}/{path:.*}" message_samples::delete, "Removes a kept message";
        },
        group! { "/w/{workspace}/job_metrics", "jobs";
            Get "/get_progress/{id}" job_notes::progress, "How far a job is";
            Post "/set_progress/{id}" job_notes::set_progress, "Says how far a job is";
        },
        group! { "/w/{workspace}/variables", "variables";
            Post "/create" variables::create, "Makes a variable";
            Post "/update/{path:.*}" variables::update, "Changes a variable";
            Delete "/delete/{path:.*}" variables::delete, "Removes a variable";
            Get "/get/{path:.*}" variables::get, "One variable";
            Get "/get_value/{path:.*}" variables::get_value, "A variable's value";
            Get "/exists/{path:.*}" variables::exists, "Whether there is a variable at a path";
            Get "/list" variables::list, "Variables";
        },
        group! { "/w/{workspace}/resources", "resources";
            Post "/create" resources::create, "Makes a resource";
            Post "/update/{path:.*}" resources::update, "Changes a resource";
            Post "/update_value/{path:.*}" resources::update_value, "Replaces a resource's value";
            Delete "/delete/{path:.*}" resources::delete, "Removes a resource";
            Get "/get/{path:.*}" resources::get, "One resource";
            Get "/get_value/{path:.*}" resources::get_value, "A resource's value";
            Get "/get_value_interpolated/{path:.*}" resources::get_value_interpolated, "A resource's value, references replaced";
            Get "/exists/{path:.*}" resources::exists, "Whether there is a resource at a path";
            Get "/list" resources::list, "Resources";
            Get "/type/list" archive::resource_types, "Resource types: none, they are free words";
            Get "/file_resource_type_to_file_ext_map" archive::file_extensions, "Resource types that are files: none";
        },
        group! { "/w/{workspace}/folders", "folders";
            Get "/list" folders::list, "Folders";
            Get "/get/{path}" folders::get, "One folder";
            Get "/exists/{path}" folders::exists, "Whether there is a folder of a name";
            Post "/create" folders::create, "Makes a folder";
            Post "/update/{path}" folders::update, "Changes a folder";
            Delete "/delete/{path}" folders::delete, "Removes a folder, and leaves what lies in it";
            Post "/addowner/{path}" folders::add_owner, "Makes somebody an owner";
            Post "/removeowner/{path}" folders::remove_owner, "Takes somebody's ownership";
            Get "/is_owner/{path}" folders::is_mine, "Whether one owns a folder";
            Get "/listnames" folders::list_names, "Names of folders";
        },
        group! { "/w/{workspace}/groups", "groups";
            Get "/list" groups::list, "Groups";
            Get "/listnames" groups::list_names, "Names of groups";
            Get "/get/{path}" groups::get, "One group";
            Post "/create" groups::create, "Makes a group";
            Post "/update/{path}" groups::update, "Describes a group";
            Delete "/delete/{path}" groups::delete, "Removes a group";
            Post "/adduser/{path}" groups::add_user, "Puts a user into a group";
            Post "/removeuser/{path}" groups::remove_user, "Takes a user out of a group";
        },
        group! { "/w/{workspace}/acls", "sharing";
            Get "/get/{kind}/{path:.*}" sharing::get, "Whom a trigger, variable, resource or folder is shared with";
            Post "/add/{kind}/{path:.*}" sharing::add, "Shares something";
            Post "/remove/{kind}/{path:.*}" sharing::remove, "Shares something no longer";
        },
    ]
}

/// Adds the API and the page to an actix-web application.
pub fn configure(cfg: &mut web::ServiceConfig, state: &web::Data<State>) {
    let mut api = web::scope("/api");
    for group in table() {
        let mut scope = web::scope(group.prefix);
        for route in group.routes {
            scope = scope.route(route.path, route.route);
        }
        // A scope does not inherit the default of the one around it.
        api = api.service(scope.default_service(web::to(no_route)));
    }
    let api = api
        .default_service(web::to(no_route))
        .wrap(from_fn(auth::identify))
        .wrap(from_fn(auth::shield));
    let page = web::resource("/{file:.*}")
        .get(ui::serve)
        .route(web::head().to(ui::serve))
        .default_service(web::to(no_route))
        .wrap(from_fn(auth::shield));
    let metrics = web::resource("/metrics")
        .get(measures::metrics_text)
        .route(web::head().to(measures::metrics_text))
        .wrap(from_fn(auth::shield));
    cfg.app_data(state.clone())
        .service(api)
        .service(metrics)
        .service(page);
}

async fn no_route(req: HttpRequest) -> Result<answer::Text, Error> {
    Err(Error::NotFound(beyond::why_not(req.path()).to_owned()))
}

/// JSON of the database as it stands there; what is not JSON shows as null.
fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Tells a field that is `null` from one that is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
