//! Trying a connection out step by step, following the messages of a draft, and asking why a filter wants a message.

use std::time::Duration;

use actix_web::web;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{sync::mpsc, time::Instant};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    answer::{Json, Lines, Text},
    error::Error,
    extract::{At, Body, Query},
    ports::ConnectionTest,
    standing::session_over,
    triggers::{TriggerBody, may_start, readable},
};
use crate::{
    access::Caller,
    db::trigger,
    trigger::{
        TrialEvent,
        filter::{CompiledFilter, Explanation},
        spec::TriggerSpec,
    },
    types::{FilterLogic, ObjectPath},
};

/// How long trying out a connection may take (windmill-facts §1).
const TEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection is followed when nothing is asked for, in seconds.
const SECONDS: u64 = 60;
/// Longest time a connection is followed: a draft that nobody looks at any more ends within it.
const MOST_SECONDS: u64 = 600;
/// Messages that are told when nothing is asked for.
const MESSAGES: u64 = 1_000;
/// Most messages that are told.
const MOST_MESSAGES: u64 = 20_000;
/// Messages that can be explained at once.
const EXPLAINED: usize = 200;
/// Bytes of them together: a filter looks through each of them.
const EXPLAINED_BYTES: usize = 1024 * 1024;

/// How far a connection is followed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HowFar {
    /// At most so long, 1 to 600; 60 unless told.
    seconds: Option<u64>,
    /// At most so many messages, up to 20,000; 1,000 unless told. 0 = no further than the first messages.
    messages: Option<u64>,
}

impl HowFar {
    fn checked(&self) -> Result<(Duration, u64), Error> {
        let seconds = self.seconds.unwrap_or(SECONDS);
        if !(1..=MOST_SECONDS).contains(&seconds) {
            let text = format!("must be 1 to {MOST_SECONDS}");
            return Err(Error::field("seconds", text));
        }
        let messages = self.messages.unwrap_or(MESSAGES);
        if messages > MOST_MESSAGES {
            let text = format!("must be at most {MOST_MESSAGES}");
            return Err(Error::field("messages", text));
        }
        Ok((Duration::from_secs(seconds), messages))
    }
}

/// Filters and messages to try them on.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ToExplain {
    /// As in a trigger.
    filters: Vec<Value>,
    /// As in a trigger.
    filter_logic: Option<FilterLogic>,
    /// Up to 200 messages of together 1 MiB.
    messages: Vec<String>,
}

/// Fills in what a trigger needs and a connection does not: Windmill's clients send only what the latter does.
fn completed(mut settings: Map<String, Value>) -> Map<String, Value> {
    for (field, usual) in [
        ("script_path", json!("u/test/none")),
        ("is_flow", json!(false)),
        ("filters", json!([])),
        ("can_return_message", json!(false)),
        ("can_return_error_result", json!(false)),
    ] {
        match settings.get(field) {
            // A draft whose runnable is not chosen yet.
            Some(Value::String(text)) if text.is_empty() && field == "script_path" => {
                settings.insert(field.to_owned(), usual);
            }
            Some(_) => {}
            None => {
                settings.insert(field.to_owned(), usual);
            }
        }
    }
    settings
}

/// Checks that the caller may run what a trial runs: what gives the URL, messages and answers. Settings that cannot be
/// read are told of by the trial.
fn may_connect(caller: &Caller, settings: &Map<String, Value>) -> Result<(), Error> {
    let Ok(spec) = TriggerSpec::from_json(settings) else {
        return Ok(());
    };
    let of_trial = |field: &str| !matches!(field, "script_path" | "error_handler_path");
    may_start(caller, &spec, of_trial)
}

/// A draft to try out; it may use the stored values of the trigger it is a draft of.
async fn of_draft(
    caller: Caller,
    at: At,
    settings: Map<String, Value>,
    state: &State,
) -> Result<ConnectionTest, Error> {
    caller.may_change()?;
    let permissioned_as = caller.run_as();
    let settings = completed(settings);
    may_connect(&caller, &settings)?;
    let path = settings.get("path").and_then(Value::as_str);
    let path: Option<ObjectPath> = path.and_then(|path| path.parse().ok());
    let workspace = at.workspace.clone();
    let known = match path {
        None => None,
        Some(path) => {
            state
                .run(move |conn| {
                    let row = trigger::by_path(conn, &at.workspace, path.as_str())?;
                    let row = row.filter(|row| caller.may_read(&row.path, &row.extra_perms));
                    Ok(row.map(|row| row.path))
                })
                .await?
        }
    };
    Ok(ConnectionTest {
        workspace,
        path: known.unwrap_or_else(|| "test".to_owned()),
        permissioned_as,
        settings,
    })
}

/// Connects once with the settings of the body, goes through the first messages, and says what failed.
pub(crate) async fn test(
    caller: Caller,
    at: At,
    body: Body<TriggerBody>,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let test = of_draft(caller, at, body.0.0, &state).await?;
    let mut events = state.listening.test(test).await?;
    let mut doing = "url: no connection".to_owned();
    let outcome = async {
        while let Some(event) = events.recv().await {
            match event {
                // What is waited for has a note: a runnable, a message, a turn.
                TrialEvent::Begun {
                    step,
                    note: Some(note),
                } => doing = format!("{step}: {note}, which was not done"),
                TrialEvent::Begun { .. } => doing = "url: no connection".to_owned(),
                TrialEvent::Listening => return Ok(()),
                TrialEvent::Failed { error, answer, .. } => {
                    let said = answer.and_then(|answer| answer.body);
                    let said = said.map(|body| format!("; it said: {body}"));
                    return Err(Error::BadRequest(error + &said.unwrap_or_default()));
                }
                TrialEvent::Closed { error, .. } => return Err(Error::BadRequest(error)),
                _ => {}
            }
        }
        Err(Error::BadRequest("windsock is stopping".to_owned()))
    };
    match actix_rt::time::timeout(TEST_TIMEOUT, outcome).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(Error::BadRequest(doing + " within 30 seconds")),
    }
    Ok(Text("connected".to_owned()))
}

/// Tries the settings of the body out, saved or not.
pub(crate) async fn draft(
    caller: Caller,
    at: At,
    (how_far, body): (Query<HowFar>, Body<TriggerBody>),
    state: web::Data<State>,
) -> Result<Lines<TrialEvent>, Error> {
    let bounds = how_far.0.checked()?;
    let test = of_draft(caller.clone(), at, body.0.0, &state).await?;
    let events = state.listening.test(test).await?;
    let over = session_over(state, caller);
    Ok(Lines::of(follow(events, bounds).take_until(Box::pin(over))))
}

/// Tries the settings of a saved trigger out, with the rights of the caller.
pub(crate) async fn saved(
    caller: Caller,
    at: At,
    how_far: Query<HowFar>,
    state: web::Data<State>,
) -> Result<Lines<TrialEvent>, Error> {
    let bounds = how_far.0.checked()?;
    caller.may_change()?;
    let permissioned_as = caller.run_as();
    let asked = caller.clone();
    let row = state.run(move |conn| readable(conn, &asked, &at)).await?;
    let settings = row.settings();
    may_connect(&caller, &settings)?;
    let test = ConnectionTest {
        settings,
        workspace: row.workspace_id,
        path: row.path,
        permissioned_as,
    };
    let events = state.listening.test(test).await?;
    let over = session_over(state, caller);
    Ok(Lines::of(follow(events, bounds).take_until(Box::pin(over))))
}

/// The events up to the last, or to the bound that is reached first. Dropped with the request, which ends the trial.
fn follow(
    events: mpsc::Receiver<TrialEvent>,
    (seconds, messages): (Duration, u64),
) -> impl Stream<Item = TrialEvent> {
    let end = Instant::now() + seconds;
    stream::unfold(Some((events, messages)), move |following| async move {
        let (mut events, left) = following?;
        let event = match tokio::time::timeout_at(end, events.recv()).await {
            Ok(event) => event?,
            Err(_) => return Some((TrialEvent::Ended { by: "seconds" }, None)),
        };
        match (&event, left) {
            (TrialEvent::Listening, 0) => Some((event, None)),
            (TrialEvent::Message(_), 0) => Some((TrialEvent::Ended { by: "messages" }, None)),
            (TrialEvent::Message(_), _) => Some((event, Some((events, left - 1)))),
            _ => Some((event, Some((events, left)))),
        }
    })
}

/// Why filters want messages or not: the verdict of each filter with the value it found.
pub(crate) async fn explain(
    caller: Caller,
    body: Body<ToExplain>,
) -> Result<Json<Vec<Explanation>>, Error> {
    // Anybody in the workspace may ask: nothing is read or written.
    drop(caller);
    let ToExplain {
        filters,
        filter_logic,
        messages,
    } = body.0;
    let bytes: usize = messages.iter().map(String::len).sum();
    if messages.len() > EXPLAINED || bytes > EXPLAINED_BYTES {
        let text = format!("at most {EXPLAINED} of together {EXPLAINED_BYTES} bytes");
        return Err(Error::field("messages", text));
    }
    let filter = CompiledFilter::compile(&filters, filter_logic.unwrap_or(FilterLogic::And))?;
    let explained = web::block(move || {
        let explain = |text: &String| filter.explain(text);
        messages.iter().map(explain).collect()
    });
    let explained = explained.await;
    Ok(Json(explained.map_err(|_| {
        Error::Internal("messages could not be explained")
    })?))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[test]
    fn bounds_name_their_field() {
        for (seconds, messages, field) in [
            (Some(0), None, "seconds: "),
            (Some(601), None, "seconds: "),
            (None, Some(20_001), "messages: "),
        ] {
            let error = HowFar { seconds, messages }.checked().unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
        }
        let usual = HowFar::default().checked().unwrap();
        assert_eq!(usual, (Duration::from_secs(60), 1_000));
    }

    async fn followed(events: Vec<TrialEvent>, messages: u64) -> Vec<TrialEvent> {
        let (sender, receiver) = mpsc::channel(16);
        for event in events {
            sender.send(event).await.unwrap();
        }
        drop(sender);
        let bounds = (Duration::from_secs(600), messages);
        follow(receiver, bounds).collect().await
    }

    #[actix_web::test]
    async fn nothing_is_told_past_a_bound() {
        let rate = || TrialEvent::Rate {
            per_second: 1,
            received: 1,
            matched: 0,
        };
        let told = followed(vec![TrialEvent::Listening, rate()], 0).await;
        assert_eq!(told, [TrialEvent::Listening]);
        let told = followed(vec![TrialEvent::Listening, rate()], 5).await;
        assert_eq!(told, [TrialEvent::Listening, rate()]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_ends_it() {
        let (_sender, receiver) = mpsc::channel(16);
        let told: Vec<TrialEvent> = follow(receiver, (Duration::from_secs(60), 5))
            .collect()
            .await;
        assert_eq!(told, [TrialEvent::Ended { by: "seconds" }]);
    }
}
