//! A condition outside of flows: whether a failed job is to be run again (`retry_if`, windmill-facts §5).

use super::engine::Engine;
use crate::{queue::Outcome, types::Invalid};

/// Checks the syntax of a condition. Takes a fresh engine and some milliseconds at most.
///
/// # Errors
/// What the engine says about it.
pub async fn check_condition(expr: String) -> Result<(), Invalid> {
    let checked = actix_rt::task::spawn_blocking(move || Engine::new()?.check(&expr)).await;
    match checked {
        Ok(checked) => checked.map_err(Invalid),
        Err(_) => Err(Invalid("it cannot be read".to_owned())),
    }
}

/// Whether a condition holds for a run that ended so: what JavaScript takes for true. It may use `result`, the whole
/// result, and `error`, what stands in there under `error`.
///
/// # Errors
/// What it threw, or the limit it met.
pub(in crate::runner) async fn holds(expr: String, outcome: &Outcome) -> Result<bool, String> {
    let result = outcome.result.clone();
    let evaluate = move || {
        let whole: serde_json::Value = serde_json::from_str(&result).unwrap_or_default();
        let error = whole.get("error").unwrap_or(&whole).to_string();
        let value = Engine::new()?.eval(&expr, &[("result", &result), ("error", &error)])?;
        Ok(!matches!(value.as_str(), "null" | "false" | "0" | "\"\""))
    };
    let evaluated = actix_rt::task::spawn_blocking(evaluate).await;
    evaluated.unwrap_or_else(|_| Err("it could not be evaluated".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Timestamp;

    #[actix::test]
    async fn conditions_see_result_and_error() {
        let outcome = Outcome::failed("TimeoutError", "too slow", Timestamp(1));
        for (expr, wanted) in [
            ("error.name === 'TimeoutError'", true),
            ("result.error.message.includes('fast')", false),
            ("error.message", true),
            ("''", false),
            ("0", false),
            ("error.nothing", false),
            ("({})", true),
        ] {
            let holds = holds(expr.to_owned(), &outcome).await;
            assert_eq!(holds, Ok(wanted), "{expr}");
        }
        let broken = holds("nothing.here".to_owned(), &outcome).await;
        assert!(broken.unwrap_err().contains("nothing is not defined"));
    }

    #[actix::test]
    async fn bad_conditions_are_refused() {
        check_condition("error.name == 'x'".to_owned())
            .await
            .unwrap();
        let error = check_condition("error.".to_owned()).await.unwrap_err();
        assert!(error.0.starts_with("SyntaxError: "), "{error}");
    }
}
