//! What windsock has not: routes that clients of Windmill know and that lead nowhere here, each with what to do instead.
//!
//! The answer is 404, which clients take for "not on this server"; `mod.rs` asks for its text when no route fits.

/// What to say of any other path.
const ANYTHING: &str = "no such route; see /api/openapi.json";

/// What routes begin with below `/api/` or `/api/w/<workspace>/`, and what to say of them; the first that fits counts.
const BEYOND: &[(&[&str], &str)] = &[
    (
        &[
            "jobs/resume_urls/",
            "jobs/wac_approval_urls/",
            "jobs/job_signature/",
            "jobs/slack_approval/",
            "jobs/teams_approval/",
            "jobs/flow/resume/",
            "jobs_u/resume/",
            "jobs_u/cancel/",
            "jobs_u/get_flow/",
            "jobs_u/flow/",
        ],
        "no such route: flows do not wait for approvals here; see /api/openapi.json for what there is",
    ),
    (
        &[
            "jobs/run/workflow_as_code/",
            "jobs/workflow_as_code/",
            "jobs/wac/",
        ],
        "no such route: there are no workflows as code here; make each task a script, and a flow of them",
    ),
    (
        &[
            "job_helpers/",
            "apps/sign_s3_objects",
            "s3_proxy/",
            "volumes/",
            "workspaces/get_secondary_storage_names",
            "workspaces/edit_large_file_storage_config",
        ],
        "no such route: windsock has no object storage; use the storage's own client in a script, its keys in a resource",
    ),
    (
        &["teams/"],
        "no such route: windsock writes to no chat; a script can, by the chat's own API",
    ),
    (
        &["oidc/"],
        "no such route: windsock issues no OIDC tokens; keep a secret of the other service in a variable",
    ),
    (
        &["schedules/"],
        "no such route: windsock has no schedules; have a timer (cron, systemd) call jobs/run/p/<path> with a token",
    ),
    (
        &["apps/", "apps_u/", "raw_apps/", "shared_ui"],
        "no such route: windsock has no apps",
    ),
    (
        &["drafts/"],
        "no such route: there are no drafts here; what is saved runs, and previews run what is not (jobs/run/preview)",
    ),
    (
        &["trash/"],
        "no such route: there is no trash bin here; what is deleted is gone, so keep the workspace in git (wmill sync pull)",
    ),
    (
        &["resources/type/"],
        "no such route: a resource type is a free word here and is not declared; for wmill sync set skipResourceTypes: true",
    ),
    (
        &["workspace_dependencies/"],
        "no such route: there are no dependencies of a workspace here; each script names its own",
    ),
    (
        &["workers/", "configs/", "agent_workers/"],
        "no such route: there are no worker groups here; GET /api/settings/server and /metrics say what runs",
    ),
    (
        &["oauth/", "saml/", "ee_license"],
        "no such route: people log in with a password or a link here; see /api/openapi.json for what there is",
    ),
    (
        &[
            "ai/",
            "ai_evals/",
            "mcp/",
            "embeddings/",
            "hub/",
            "scripts/hub/",
            "flows/hub/",
        ],
        "no such route: windsock has no hub and no AI; see /api/openapi.json for what there is",
    ),
    (
        &["git_sync/", "github_app/"],
        "no such route: the server pushes nothing to git; use wmill sync pull and push",
    ),
    (
        &["workspaces/"],
        "no such route: a workspace has no such setting here; see /api/openapi.json for what there is",
    ),
];
/// Of kinds of triggers besides `websocket`.
const OTHER_TRIGGERS: &str =
    "no such route: windsock has WebSocket triggers only (websocket_triggers)";

/// Why nothing is at `path`, and what to do.
pub(super) fn why_not(path: &str) -> &'static str {
    let Some(path) = path.strip_prefix("/api/") else {
        return "no such route: the API is below /api/, see /api/openapi.json";
    };
    let within = path
        .strip_prefix("w/")
        .and_then(|rest| Some(rest.split_once('/')?.1));
    let path = within.unwrap_or(path);
    let first = path.split('/').next().unwrap_or_default();
    let kind = match first.strip_suffix("_triggers") {
        None if first == "trigger" => path.split('/').nth(1),
        kind => kind,
    };
    if kind.is_some_and(|kind| kind != "websocket") {
        return OTHER_TRIGGERS;
    }
    let about = BEYOND
        .iter()
        .find(|(starts, _)| starts.iter().any(|start| path.starts_with(start)));
    about.map_or(ANYTHING, |(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_named() {
        for (path, named) in [
            ("/api/w/main/jobs/resume_urls/1/2", "approvals"),
            ("/api/w/main/jobs_u/resume/1/2/3", "approvals"),
            (
                "/api/w/main/jobs/run/workflow_as_code/1/task",
                "workflows as code",
            ),
            (
                "/api/w/main/job_helpers/v2/s3_resource_info",
                "object storage",
            ),
            ("/api/w/main/apps/sign_s3_objects", "object storage"),
            ("/api/w/main/apps/list", "no apps"),
            ("/api/w/main/oidc/token/vault", "OIDC"),
            (
                "/api/w/main/kafka_triggers/commit_offsets/f/a/b",
                "WebSocket triggers only",
            ),
            (
                "/api/w/main/trigger/kafka/resume_suspended_trigger_jobs/f/a/b",
                "WebSocket triggers only",
            ),
            ("/api/teams/activities", "no chat"),
            ("/api/w/main/schedules/list", "no schedules"),
            ("/api/w/main/resources/type/create", "free word"),
            ("/api/w/main/trash/list", "no trash bin"),
            ("/api/workers/list", "/metrics"),
            (
                "/api/w/main/workspaces/edit_slack_command",
                "no such setting",
            ),
            ("/w/main/scripts/list", "below /api/"),
        ] {
            assert!(why_not(path).contains(named), "{path}: {}", why_not(path));
        }
        for path in ["/api/", "/api/w/main", "/api/w/main/websocket_triggers/x"] {
            assert_eq!(why_not(path), ANYTHING, "{path}");
        }
    }
}
