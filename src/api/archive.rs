//! A workspace as an archive of files, the way `wmill sync` reads one (windmill-facts §2.3, §2.4): what is in it, pushed
//! to an empty workspace, makes the same objects.

use std::io::{Cursor, Write};

use actix_web::web;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    State,
    answer::{Raw, Zip},
    error::Error,
    extract::{At, Query},
    folders,
};
use crate::{
    access::Caller,
    db::{Conn, flow, folder, resource, script, trigger, variable},
    types::Language,
};

/// Larger than any workspace that people keep in files, and small enough to be made in memory.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Which objects the archive holds.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// `zip`; nothing else is made.
    archive_type: Option<String>,
    /// Secrets as they are, not left out.
    plain_secret: Option<bool>,
    plain_secrets: Option<bool>,
    skip_variables: Option<bool>,
    skip_secrets: Option<bool>,
    skip_resources: Option<bool>,
    include_triggers: Option<bool>,
    /// The TypeScript that has the plain ending `.ts`: `bun` (default) or `deno`.
    default_ts: Option<String>,
}

/// A file of the archive.
struct File {
    name: String,
    content: String,
}

impl File {
    /// An object, by its keys in order; what is null says nothing and is left out.
    fn of(name: String, mut fields: Map<String, Value>) -> Self {
        fields.retain(|_, value| !value.is_null());
        fields.sort_keys();
        let content = serde_json::to_string_pretty(&fields).unwrap_or_default();
        Self { name, content }
    }
}

/// Everything one may read in the workspace.
pub(crate) async fn tarball(
    caller: Caller,
    at: At,
    which: Query<Which>,
    state: web::Data<State>,
) -> Result<Zip, Error> {
    let which = which.0;
    if which.archive_type.as_deref().unwrap_or("zip") != "zip" {
        let text = "Invalid Archive Type: only zip is made; ask with archive_type=zip";
        return Err(Error::field("archive_type", text));
    }
    let files = state
        .run(move |conn| files(conn, &caller, &at.workspace, &which))
        .await?;
    let packed = web::block(move || pack(&files)).await;
    let packed = packed.map_err(|_| Error::Internal("the archive was given up"))?;
    Ok(Zip(packed?))
}

/// windsock keeps no item apart for one workspace of several.
pub(crate) async fn list_ws_specific(_: Caller, _: At) -> Result<Raw, Error> {
    Ok(Raw("[]".to_owned()))
}

/// The type of a resource is a free word.
pub(crate) async fn resource_types(_: Caller, _: At) -> Result<Raw, Error> {
    Ok(Raw("[]".to_owned()))
}

/// windsock keeps no resource as a file of its own.
pub(crate) async fn file_extensions(_: Caller, _: At) -> Result<Raw, Error> {
    Ok(Raw("{}".to_owned()))
}

fn pack(files: &[File]) -> Result<Vec<u8>, Error> {
    let failed = |_| Error::Internal("the archive cannot be written");
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for file in files {
        archive.start_file(&*file.name, options).map_err(failed)?;
        let written = archive.write_all(file.content.as_bytes());
        written.map_err(|_| Error::Internal("the archive cannot be written"))?;
    }
    Ok(archive.finish().map_err(failed)?.into_inner())
}

fn files(
    conn: &mut Conn,
    caller: &Caller,
    workspace: &str,
    which: &Which,
) -> Result<Vec<File>, Error> {
    // What a token may not read by itself it does not read packed up.
    let of = |domain: &str| caller.asking(domain);
    let mut files = folder_files(conn, &of("folders"), workspace)?;
    files.extend(script_files(conn, &of("scripts"), workspace, which)?);
    files.extend(flow_files(conn, &of("flows"), workspace)?);
    if which.skip_variables != Some(true) {
        files.extend(variable_files(conn, &of("variables"), workspace, which)?);
    }
    if which.skip_resources != Some(true) {
        files.extend(resource_files(conn, &of("resources"), workspace)?);
    }
    if which.include_triggers == Some(true) {
        files.extend(trigger_files(conn, &of("websocket_triggers"), workspace)?);
    }
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    if bytes > MOST_BYTES {
        return Err(Error::field(
            "workspace",
            format!(
                "holds {bytes} bytes, more than the {MOST_BYTES} an archive may; skip variables or resources"
            ),
        ));
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn folder_files(conn: &mut Conn, caller: &Caller, workspace: &str) -> Result<Vec<File>, Error> {
    let rows = folder::all(conn, workspace)?.into_iter();
    let seen = rows.filter(|row| folders::visible(caller, &row.name));
    Ok(seen
        .map(|row| {
            let fields = json!({
                "display_name": row.display_name,
                "owners": parsed(&row.owners),
                "extra_perms": parsed(&row.extra_perms),
                "summary": row.summary,
                "labels": some(&row.labels),
                "default_permissioned_as": some(&row.default_permissioned_as),
            });
            File::of(format!("f/{}/folder.meta.json", row.name), object(fields))
        })
        .collect())
}

fn script_files(
    conn: &mut Conn,
    caller: &Caller,
    workspace: &str,
    which: &Which,
) -> Result<Vec<File>, Error> {
    let mut found = script::list(conn, workspace, &script::ScriptFilter::default())?;
    found.retain(|(path, _)| caller.may_read(path, caller.script_perms(path)));
    let hashes: Vec<i64> = found.into_iter().map(|(_, hash)| hash).collect();
    let deno_is_plain = which.default_ts.as_deref() == Some("deno");
    let mut files = Vec::new();
    for row in script::by_hashes(conn, workspace, &hashes)? {
        let ending = match row.language.parse::<Language>() {
            Ok(language) => ending(language, deno_is_plain),
            Err(_) => continue,
        };
        files.push(File {
            name: format!("{}.{ending}", row.path),
            content: row.content.clone(),
        });
        files.push(File::of(
            format!("{}.script.json", row.path),
            script_fields(row),
        ));
    }
    Ok(files)
}

/// The ending that tells a client the language.
fn ending(language: Language, deno_is_plain: bool) -> &'static str {
    match language {
        Language::Python3 => "py",
        Language::Bash => "sh",
        Language::Nativets => "fetch.ts",
        Language::Bun if deno_is_plain => "bun.ts",
        Language::Deno if !deno_is_plain => "deno.ts",
        Language::Bun | Language::Deno => "ts",
    }
}

fn flow_files(conn: &mut Conn, caller: &Caller, workspace: &str) -> Result<Vec<File>, Error> {
    let mut found = flow::list(conn, workspace, &flow::FlowFilter::default())?;
    found.retain(|(path, _)| caller.may_read(path, caller.flow_perms(path)));
    let versions: Vec<i64> = found.into_iter().map(|(_, version)| version).collect();
    let rows = flow::by_versions(conn, workspace, &versions)?.into_iter();
    Ok(rows
        .map(|row| File::of(format!("{}.flow.json", row.path), flow_fields(row)))
        .collect())
}

fn variable_files(
    conn: &mut Conn,
    caller: &Caller,
    workspace: &str,
    which: &Which,
) -> Result<Vec<File>, Error> {
    let plain = which.plain_secret.or(which.plain_secrets) == Some(true);
    let mut rows = variable::list(conn, workspace, None)?;
    rows.retain(|row| caller.may_read(&row.path, &row.extra_perms));
    rows.retain(|row| !row.is_secret || which.skip_secrets != Some(true));
    rows.into_iter()
        .map(|row| {
            // Otherwise sealed: good for this server alone.
            let row = if plain { row.opened()? } else { row };
            if plain && row.is_secret {
                caller.learns(conn, &row)?;
            }
            let fields = json!({
                "description": row.description,
                "is_secret": row.is_secret,
                "value": row.value,
                "labels": some(&row.labels),
            });
            Ok(File::of(
                format!("{}.variable.json", row.path),
                object(fields),
            ))
        })
        .collect()
}

fn resource_files(conn: &mut Conn, caller: &Caller, workspace: &str) -> Result<Vec<File>, Error> {
    let mut rows = resource::list(conn, workspace, None, None)?;
    rows.retain(|row| caller.may_read(&row.path, &row.extra_perms));
    Ok(rows
        .into_iter()
        .map(|row| {
            let fields = json!({
                "description": row.description,
                "resource_type": row.resource_type,
                "value": parsed(&row.value),
                "labels": some(&row.labels),
            });
            File::of(format!("{}.resource.json", row.path), object(fields))
        })
        .collect())
}

fn trigger_files(conn: &mut Conn, caller: &Caller, workspace: &str) -> Result<Vec<File>, Error> {
    let mut rows = trigger::list(conn, workspace, &trigger::TriggerFilter::default())?;
    rows.retain(|row| caller.may_read(&row.path, &row.extra_perms));
    Ok(rows
        .iter()
        .map(|row| {
            let name = format!("{}.websocket_trigger.json", row.path);
            File::of(name, trigger_fields(row))
        })
        .collect())
}

/// A script without its text.
fn script_fields(row: script::ScriptRow) -> Map<String, Value> {
    let mut fields = object(parsed(&row.settings));
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("summary", row.summary.into());
    set("description", row.description.into());
    set("kind", row.kind.into());
    set("schema", row.schema_json.as_deref().map(parsed).into());
    set("lock", row.lock.into());
    set("tag", row.tag.into());
    set("timeout", row.timeout_secs.into());
    set("dedicated_worker", row.dedicated_worker.into());
    let has_preprocessor = row.preprocessor.is_some().then_some(true);
    set("has_preprocessor", has_preprocessor.into());
    fields
}

fn flow_fields(row: flow::FlowRow) -> Map<String, Value> {
    let mut fields = object(parsed(&row.settings));
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("summary", row.summary.into());
    set("description", row.description.into());
    set("value", parsed(&row.value));
    set("schema", row.schema_json.as_deref().map(parsed).into());
    set("tag", row.tag.into());
    set("timeout", row.timeout_secs.into());
    fields
}

/// What a trigger is, not how it fares.
fn trigger_fields(row: &trigger::TriggerRow) -> Map<String, Value> {
    let mut fields = row.settings();
    fields.insert("mode".to_owned(), json!(row.mode));
    if row.labels != "[]" {
        fields.insert("labels".to_owned(), parsed(&row.labels));
    }
    fields
}

/// A list as the database keeps it; null, which is left out, when there is nothing in it.
fn some(text: &str) -> Value {
    if text == "[]" {
        Value::Null
    } else {
        parsed(text)
    }
}

/// JSON as the database keeps it.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// The fields of an object written as one.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
