//! What is checked of a connection when a trigger is saved, besides its shape: addresses, certificates, proxy.

use super::{
    connector::Dialer,
    proxy::check_proxy,
    spec::{PemSource, Plan, TriggerSpec, UrlSource, check_url},
    tls::TlsSettings,
};
use crate::types::Invalid;

/// Checks what can be told without connecting. What depends on a template or a variable is checked at each
/// connect; a name that does not resolve passes (contract section 3).
///
/// # Errors
/// Names the field that does not fit.
pub async fn check_at_save(dialer: &Dialer, spec: &TriggerSpec) -> Result<(), Invalid> {
    let plan = spec.compile()?;
    if let Some(proxy) = &plan.proxy {
        check_proxy(proxy)?;
    }
    if let Some(tls) = literal_tls(&plan) {
        tls.check()?;
    }
    if let UrlSource::Text(template) = &plan.url
        && template.is_literal()
    {
        let url = check_url(&spec.url).map_err(|error| Invalid(format!("url: {error}")))?;
        let checked = dialer.check_at_save(&url).await;
        checked.map_err(|refused| Invalid(format!("url: {refused}")))?;
    }
    Ok(())
}

/// The certificates, when all of them stand in the trigger itself.
fn literal_tls(plan: &Plan) -> Option<TlsSettings> {
    let text = |source: &Option<PemSource>| match source {
        None => Some(None),
        Some(PemSource::Text(text)) => Some(Some(text.clone())),
        Some(PemSource::Variable(_)) => None,
    };
    Some(TlsSettings {
        ca_pem: text(&plan.tls.ca)?,
        client_cert_pem: text(&plan.tls.client_cert)?,
        client_key_pem: text(&plan.tls.client_key)?,
    })
}
