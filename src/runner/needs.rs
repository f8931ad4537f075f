//! [`wanted`]: what a script needs before it can run. Read from its text once for all its jobs.

use std::sync::Arc;

use super::{
    language::{
        javascript::{self, bun, deno},
        python3,
        typescript::Compiled,
    },
    limits::RunLimits,
    packages::{Installed, Packages, Wanted, npm},
    script::Script,
};
use crate::types::Language;

/// The packages of `script`; none = it needs no others than its language's own.
///
/// # Errors
/// The program of its language is missing, or an import cannot be resolved.
pub(crate) async fn wanted(
    script: &Script,
    limits: &RunLimits,
) -> Result<Option<Arc<Wanted>>, String> {
    let lock = script.lock.as_deref().unwrap_or_default();
    let read = async || {
        let wanted = match script.language {
            Language::Bash | Language::Nativets => None,
            Language::Python3 => python3::wanted((&script.content, lock), limits).await?,
            Language::Bun | Language::Deno => {
                let compiled = javascript::compiled(script).await?;
                of_javascript(script.language, &compiled, lock)?
            }
        };
        Ok(wanted.map(Arc::new))
    };
    script.wanted.get_or_try_init(read).await.cloned()
}

/// Where the packages of a script stand; has them installed, beside the caller, when they are not there.
pub async fn install(
    packages: &Packages,
    language: Language,
    (content, lock): (String, Option<String>),
) -> Installed {
    let script = Script {
        lock,
        ..Script::new("script".to_owned(), content, language)
    };
    match wanted(&script, &RunLimits::default()).await {
        Ok(None) => Installed::Ready,
        Ok(Some(wanted)) => packages.begin(Arc::unwrap_or_clone(wanted)),
        Err(error) => Installed::Failed(error),
    }
}

/// The packages of a script in `bun` or `deno`; of the latter a lock is not looked at.
///
/// # Errors
/// As [`wanted`].
pub(crate) fn of_javascript(
    language: Language,
    compiled: &Compiled,
    lock: &str,
) -> Result<Option<Wanted>, String> {
    let imports = javascript::imports(compiled);
    if language == Language::Deno {
        npm::of_deno(&imports, deno::program()?)
    } else {
        npm::of_bun(&imports, lock, bun::program()?)
    }
}
