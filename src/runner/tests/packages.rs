//! Packages of `python3`, and that waiting for packages keeps no worker from other scripts.

use std::time::Duration;

use actix::Actor;
use serde_json::{Value, json};

use super::{Bench, FakeSource, has, installed, job, limits, script, settings};
use crate::{
    runner::{Runner, check, packages::Packages, script::Script},
    types::Language,
};

fn python(content: &str) -> Script {
    script(Language::Python3, content)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[actix_rt::test]
async fn python_packages_are_installed_by_the_names_of_imports_and_by_declarations() {
    if !has("uv", "python_packages_are_installed") {
        return;
    }
    let mut bench = Bench::new();
    for (content, wanted) in [
        // The name to install is another than the name to import.
        (
            "import yaml\ndef main(): return yaml.safe_load('a: [1, 2]')",
            json!({"a": [1, 2]}),
        ),
        (
            "# requirements:\n# six==1.16.0\n\nimport six\ndef main(): return six.__version__",
            json!("1.16.0"),
        ),
        (
            "# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\"six==1.17.0\"]\n# ///\n\
             import six\ndef main(): return six.__version__",
            json!("1.17.0"),
        ),
        (
            "def main():\n    import wmill\n    return callable(wmill.get_variable)",
            json!(true),
        ),
    ] {
        let script = python(content);
        installed(&script).await;
        assert_eq!(bench.result(&script, json!({})).await, wanted);
    }
    // A lock counts more than what the text says.
    let locked = Script {
        lock: Some("# py: 3.11\nsix==1.15.0\n".to_owned()),
        ..python("# requirements:\n# six>=1.16\nimport six\ndef main(): return six.__version__")
    };
    installed(&locked).await;
    assert_eq!(bench.result(&locked, json!({})).await, "1.15.0");
    let broken = Script {
        lock: Some("--index-url http://x".to_owned()),
        ..python("def main(): pass")
    };
    let error = bench.error(&broken, json!({})).await;
    let message = text(&error["message"]);
    assert!(message.starts_with("lock: '--index-url"), "{message}");
}

#[actix_rt::test]
async fn a_python_package_that_does_not_exist_fails_the_job_and_says_so() {
    if !has("uv", "a_python_package_that_does_not_exist") {
        return;
    }
    let mut bench = Bench::new();
    let script = python("import windsock_no_such_package_0b7c\ndef main(): pass");
    let error = bench.error(&script, json!({})).await;
    let message = text(&error["message"]);
    assert!(
        message.starts_with("its packages cannot be installed: "),
        "{message}"
    );
    assert!(
        message.contains("windsock-no-such-package-0b7c"),
        "{message}"
    );
    assert!(bench.executor.waits_for(&script).await.is_none());
}

#[actix_rt::test]
async fn bad_declarations_are_found_when_a_script_is_saved() {
    for (content, wanted) in [
        (
            "# requirements:\n# --index-url http://x\ndef main(): pass",
            "'--index-url http://x' is not a requirement",
        ),
        (
            "# /// script\n# dependencies = [\n# ///\ndef main(): pass",
            "not TOML",
        ),
        (
            "# /// script\n# requires-python = \">=3.8, <3.9\"\n# ///\ndef main(): pass",
            "the script says requires-python = '>=3.8, <3.9', and python3 here is 3.",
        ),
        (
            "# /// script\n# requires-python = \"3.11\"\n# ///\ndef main(): pass",
            "is not like '>=3.11': '3.11'",
        ),
        (
            "# /// script\n# requires-python = 3.11\n# ///\ndef main(): pass",
            "must be a text like '>=3.11'",
        ),
        (
            "# requirements:\n# ../secret\ndef main(): pass",
            "'../secret' is not a requirement",
        ),
        (
            "from .x import y\ndef main(): pass",
            "line 1: there are no files beside a script",
        ),
        (
            "from f.lib.x import y\ndef main(): pass",
            "does not import other scripts",
        ),
    ] {
        let error = check(Language::Python3, content).await.unwrap_err().0;
        assert!(error.starts_with("content: "), "{error}");
        assert!(error.contains(wanted), "{error}");
    }
}

#[actix_rt::test]
async fn a_script_runs_on_the_python_it_requires_or_not_at_all() {
    let mut bench = Bench::new();
    let with = |wanted: &str| {
        python(&format!(
            "# /// script\n# requires-python = \"{wanted}\"\n# ///\ndef main(): return 1"
        ))
    };
    for fits in [
        "",
        ">=3.11",
        "~=3.11",
        ">=3, <4, !=3.0.*",
        "==3.*",
        ">3.11.0rc1",
        "!=3.11",
    ] {
        let result = bench.result(&with(fits), json!({})).await;
        assert_eq!(result, json!(1), "{fits}");
    }
    for other in [
        ">=3.99",
        "<3.11",
        "==3.10.*",
        "~=3.10.1",
        "==2.7.18",
        "===3.99",
        ">=3.11,<=3.0",
    ] {
        let error = bench.error(&with(other), json!({})).await;
        let message = text(&error["message"]);
        assert!(message.contains(other), "{other}: {message}");
    }
}

#[actix_rt::test]
async fn jobs_that_wait_for_packages_hold_no_worker() {
    if !has("uv", "jobs_that_wait_for_packages_hold_no_worker") {
        return;
    }
    let source = FakeSource::new();
    source.save(1, Language::Python3, "import six\ndef main(): return 1");
    source.save(2, Language::Python3, "def main(): return 2");
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings(limits(), 1);
    settings.packages = Packages::new(Some(cache.path().to_owned()));
    let runner = Runner::with_source(settings, source.clone(), None).start();
    let (waits, runs) = (job(1, &json!({})), job(2, &json!({})));
    let (first, second) = (waits.id, runs.id);
    source.push(vec![waits.clone(), runs]);
    // The one worker runs the second job although the first came before it, and gives the first back when its
    // packages are there.
    assert_eq!(source.end_of(second).await.1, json!(2));
    source
        .until("the first goes back", |state| {
            state.given_back.contains(&first)
        })
        .await;
    assert!(!source.state.lock().finished.contains_key(&first));
    source.push(vec![waits]);
    assert_eq!(source.end_of(first).await.1, json!(1));
    runner
        .send(crate::runner::Stop {
            within: Duration::from_secs(20),
        })
        .await
        .unwrap();
}
