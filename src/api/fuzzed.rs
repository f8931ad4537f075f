//! For the fuzz targets (`tests/fuzz`): what reads bodies and queries, without a server around it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    accounts, capture, convert, error::Error, extract, flows, folders, groups, job_search,
    jobs_preview, jobs_run,
};
use super::{message_samples, resources, scripts, triggers, users, variables, workspaces};
use crate::{flow::FlowValue, trigger::spec::TriggerSpec};

/// Reads `body` as the type with the number `kind`.
///
/// # Errors
/// What the client would be told.
pub fn read(kind: u8, body: &[u8]) -> Result<(), String> {
    let read = match kind % 20 {
        0 => trigger(body),
        1 => skip::<scripts::save::NewScript>(body),
        2 => skip::<flows::NewFlow>(body),
        3 => flow(body),
        4 => skip::<folders::NewFolder>(body),
        5 => skip::<folders::EditFolder>(body),
        6 => skip::<groups::NewGroup>(body),
        7 => skip::<accounts::NewAccount>(body),
        8 => skip::<variables::NewVariable>(body),
        9 => skip::<resources::NewResource>(body),
        10 => skip::<jobs_preview::Preview>(body),
        11 => skip::<jobs_preview::FlowPreview>(body),
        12 => skip::<capture::SetConfig>(body),
        13 => skip::<message_samples::NewSample>(body),
        14 => skip::<workspaces::NewWorkspace>(body),
        15 => skip::<users::NewTokenBody>(body),
        16 => query::<job_search::Which>(body),
        17 => query::<jobs_run::How>(body),
        18 => skip::<Vec<String>>(body),
        _ => yaml(body),
    };
    read.map_err(|error| error.to_string())
}

fn skip<T: DeserializeOwned>(body: &[u8]) -> Result<(), Error> {
    extract::parse::<T>(body).map(drop)
}

fn trigger(body: &[u8]) -> Result<(), Error> {
    let body: Map<String, Value> = extract::parse(body)?;
    triggers::Around::read(&body)?;
    TriggerSpec::from_json(&body)?.compile()?;
    Ok(())
}

fn flow(body: &[u8]) -> Result<(), Error> {
    FlowValue::from_json(&extract::parse(body)?)?;
    Ok(())
}

fn query<T: DeserializeOwned>(query: &[u8]) -> Result<(), Error> {
    extract::parse_query::<T>(&String::from_utf8_lossy(query)).map(drop)
}

/// What becomes YAML is the same JSON when it is read again.
fn yaml(text: &[u8]) -> Result<(), Error> {
    let value: serde_json::Value = convert::read(&String::from_utf8_lossy(text))?;
    let written = convert::written(&value)?;
    assert_eq!(convert::read(&written).ok(), Some(value), "{written}");
    Ok(())
}
