//! What a script must not be able to do, each tried by a script. Where the kernel or the user that runs the tests
//! cannot offer a protection, its test says so and ends.

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{fcntl::OFlag, sys::stat::Mode, unistd::getpid};
use serde_json::{Value, json};

use super::{Bench, PATIENCE, job, limits, parts, script};
use crate::{
    runner::{
        RunLimits,
        contain::{
            files::{self, Readable},
            users,
        },
        process::lower_priority_of_this_thread,
        script::Script,
    },
    types::Language,
};

fn python(content: &str) -> Script {
    script(Language::Python3, content)
}

/// Evaluates `do` and says what became of it.
fn attempt() -> Script {
    python(
        "import ctypes, os, signal, resource, subprocess, sys, time\n\
         def main(do):\n    try:\n        return ['done', repr(eval(do))]\n    except OSError as error:\n        return ['refused', str(error)]\n",
    )
}

async fn try_out(bench: &mut Bench, deed: &str) -> (String, String) {
    let result = bench.result(&attempt(), json!({"do": deed})).await;
    let text = |at: usize| result[at].as_str().unwrap().to_owned();
    (text(0), text(1))
}

/// Says why the rest of a test is left out.
fn skip(test: &str, why: &str) {
    println!("left out: {test}: {why}");
}

fn landlock(test: &str) -> bool {
    let missing = files::missing();
    if let Some(why) = missing.first() {
        skip(test, why);
    }
    missing.is_empty()
}

fn own_users(test: &str) -> bool {
    match users::all() {
        Ok(_) => true,
        Err(why) => {
            skip(test, why);
            false
        }
    }
}

/// A folder that everybody may read, with a file that everybody may read and write, and one for its owner alone.
fn folder() -> tempfile::TempDir {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("open", 0o666), ("closed", 0o600), (".", 0o777)] {
        let path = folder.path().join(name);
        if name != "." {
            std::fs::write(&path, "the database").unwrap();
        }
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    folder
}

#[actix_rt::test]
async fn files_outside_the_scratch_folder_are_out_of_reach() {
    if !landlock("files_outside_the_scratch_folder_are_out_of_reach") {
        return;
    }
    let (mut bench, folder) = (Bench::new(), folder());
    let path = folder.path().display();
    for deed in [
        format!("open('{path}/open').read()"),
        format!("open('{path}/open', 'a').write('x')"),
        format!("open('{path}/new', 'w')"),
        format!("os.listdir('{path}')"),
        format!("os.remove('{path}/open')"),
        format!("os.link('{path}/open', 'mine')"),
        format!("os.rename('{path}/open', 'mine')"),
        format!("[os.symlink('{path}/open', 'link'), open('link').read()]"),
        "os.listdir('/root')".to_owned(),
        "open('/etc/shadow').read()".to_owned(),
        "open('/usr/windsock-was-here', 'w')".to_owned(),
    ] {
        let (what, said) = try_out(&mut bench, &deed).await;
        assert_eq!(what, "refused", "{deed}: {said}");
    }
    assert_eq!(
        std::fs::read_to_string(folder.path().join("open")).unwrap(),
        "the database"
    );
    let bash = script(Language::Bash, &format!("cat {path}/open"));
    let error = bench.error(&bash, json!({})).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("Permission denied"),
        "{error}"
    );
    for fine in [
        "open('a', 'w').write('x')",
        "[os.mkdir('d'), open('a', 'w').close(), os.rename('a', 'd/b'), open('d/b').read()]",
        "open('/dev/stderr', 'w').write('x')",
        "open('/dev/null', 'w').write('x')",
        "subprocess.run(['sh', '-c', 'cat /etc/hosts > copy; date']).returncode",
        "__import__('tempfile').TemporaryFile().write(b'x')",
        "__import__('socket').getaddrinfo('localhost', 80)[0][4][1]",
        "__import__('ssl').create_default_context().verify_mode",
    ] {
        let (what, said) = try_out(&mut bench, fine).await;
        assert_eq!(what, "done", "{fine}: {said}");
    }
}

#[actix_rt::test]
async fn files_of_other_users_stay_closed_where_reading_is_allowed() {
    if !own_users("files_of_other_users_stay_closed_where_reading_is_allowed") {
        return;
    }
    let folder = folder();
    let mut bench = Bench::with(RunLimits {
        readable: Arc::new(Readable::without(&[]).and(folder.path())),
        ..limits()
    });
    let read = |name: &str| format!("open('{}/{name}').read()", folder.path().display());
    assert_eq!(try_out(&mut bench, &read("open")).await.0, "done");
    assert_eq!(try_out(&mut bench, &read("closed")).await.0, "refused");
    let ids = "[os.getuid(), os.geteuid(), os.getgid(), os.getegid()] + os.getgroups()";
    let (_, said) = try_out(&mut bench, ids).await;
    let ids: Vec<u32> = serde_json::from_str(&said).unwrap();
    assert!(
        ids.iter()
            .all(|id| *id >= users::all().unwrap().first() && *id == ids[0]),
        "{said}"
    );
}

#[actix_rt::test]
async fn the_server_and_other_jobs_cannot_be_looked_into_or_killed() {
    if !landlock("the_server_and_other_jobs_cannot_be_looked_into_or_killed") {
        return;
    }
    let mut bench = Bench::new();
    let other = python("import os\nsecret = 'other'\ndef main(): return os.getpid()\n");
    let other = bench.result(&other, json!({})).await;
    for pid in [json!(getpid().as_raw()), other] {
        for deed in [
            format!("os.kill({pid}, 0)"),
            format!("open('/proc/{pid}/environ', 'rb').read()"),
            format!("open('/proc/{pid}/mem', 'rb').read(1)"),
            format!("os.readlink('/proc/{pid}/exe')"),
            format!("os.listdir('/proc/{pid}/cwd/')"),
            format!("os.listdir('/proc/{pid}/root/')"),
            format!("resource.prlimit({pid}, resource.RLIMIT_NOFILE, (0, 0))"),
        ] {
            let (what, said) = try_out(&mut bench, &deed).await;
            assert_eq!(what, "refused", "{deed}: {said}");
        }
    }
    let own = "[open('/proc/self/environ').read() and 1, os.kill(os.getpid(), 0)]";
    assert_eq!(try_out(&mut bench, own).await.0, "done");
}

#[actix_rt::test]
async fn a_process_is_set_up_as_it_should_be() {
    let inherited = tempfile::NamedTempFile::new().unwrap();
    let open = nix::fcntl::open(inherited.path(), OFlag::O_RDONLY, Mode::empty()).unwrap();
    let mut bench = Bench::new();
    let death = "(lambda signal: [ctypes.CDLL(None).prctl(2, ctypes.byref(signal)), signal.value])(ctypes.c_int())";
    for (deed, expected) in [
        ("os.nice(0)", "5".to_owned()),
        (
            "resource.getrlimit(resource.RLIMIT_CORE)",
            "(0, 0)".to_owned(),
        ),
        (
            "resource.getrlimit(resource.RLIMIT_FSIZE)[1]",
            limits().file_bytes.to_string(),
        ),
        (
            "resource.getrlimit(resource.RLIMIT_NOFILE)[1]",
            limits().open_files.to_string(),
        ),
        (
            "resource.getrlimit(resource.RLIMIT_AS)[1]",
            limits().memory_bytes.to_string(),
        ),
        (
            "[line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')][0].split()[1]",
            "'1'".to_owned(),
        ),
        (death, "[0, 9]".to_owned()),
        ("os.getsid(0) == os.getpid()", "True".to_owned()),
        (
            "open('/proc/self/oom_score_adj').read()",
            "'1000\\n'".to_owned(),
        ),
        ("os.umask(0)", "63".to_owned()),
    ] {
        let (_, said) = try_out(&mut bench, deed).await;
        assert_eq!(said, expected, "{deed}");
    }
    let links = "[os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{fd}')]";
    let (_, said) = try_out(&mut bench, links).await;
    let name = inherited.path().display().to_string();
    assert!(said.contains("socket:") && !said.contains(&name), "{said}");
    drop(open);
}

#[actix_rt::test]
async fn the_engine_runs_below_the_listeners() {
    let (lowered, other) = std::thread::spawn(|| {
        lower_priority_of_this_thread();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        (priority(), std::thread::spawn(priority).join().unwrap())
    })
    .join()
    .unwrap();
    let here = rustix::process::getpriority_process(None).unwrap();
    // A new thread takes after the one that starts it; this one is as it was.
    assert_eq!((lowered, other), (5, 5));
    assert!(here < 5, "{here}");
}

#[actix_rt::test]
async fn a_job_that_takes_too_much_memory_is_killed_with_all_it_started() {
    let mut bench = Bench::with(RunLimits {
        memory_bytes: 300 * 1024 * 1024,
        ..limits()
    });
    // Each of them alone is within what one process may have.
    let script = python(
        "import os, time\ndef main(n):\n    for _ in range(n):\n        if os.fork() == 0:\n            held = b'x' * (100 << 20)\n            \
         time.sleep(1000)\n    if n: time.sleep(1000)\n    return 'fine'\n",
    );
    assert_eq!(bench.result(&script, json!({"n": 0})).await, json!("fine"));
    let error = bench.error(&script, json!({"n": 5})).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("was killed because it used") && message.contains("300 are allowed"),
        "{error}"
    );
    assert_eq!(bench.result(&script, json!({"n": 0})).await, json!("fine"));
}

#[actix_rt::test]
async fn a_job_can_start_only_so_many_processes() {
    let mut bench = Bench::with(RunLimits {
        processes: 20,
        ..limits()
    });
    let script = python(
        "import os, time\ndef main(n):\n    for _ in range(n):\n        if os.fork() == 0: time.sleep(1000)\n    \
         if n: time.sleep(1000)\n    return 'fine'\n",
    );
    assert_eq!(bench.result(&script, json!({"n": 0})).await, json!("fine"));
    let error = bench.error(&script, json!({"n": 60})).await;
    // With a user of its own the kernel refuses, else it is seen and killed.
    let expected = if users::all().is_ok() {
        "temporarily unavailable"
    } else {
        "20 are allowed"
    };
    assert!(
        error["message"].as_str().unwrap().contains(expected),
        "{error}"
    );
}

#[actix_rt::test]
async fn what_a_job_hides_from_its_group_ends_with_its_process() {
    if !own_users("what_a_job_hides_from_its_group_ends_with_its_process") {
        return;
    }
    let mut bench = Bench::new();
    let mut script = python(
        "import os, time\ndef main():\n    read, write = os.pipe()\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            \
         os.write(write, str(os.getpid()).encode())\n            time.sleep(1000)\n        os._exit(0)\n    return int(os.read(read, 20))\n",
    );
    script.warm = false;
    let pid = bench.result(&script, json!({})).await;
    let process = PathBuf::from(format!("/proc/{pid}"));
    let end = Instant::now() + PATIENCE;
    // A zombie is dead, too, where nobody fetches it.
    let alive =
        || std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while alive() {
        assert!(Instant::now() < end, "{pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[actix_rt::test]
async fn a_job_that_stops_itself_runs_out_of_time() {
    let mut bench = Bench::new();
    for script in [
        python("import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGSTOP)\n"),
        script(Language::Bash, "kill -STOP $BASHPID"),
    ] {
        let mut stopped = job(script.key.as_ref().unwrap().1, &json!({}));
        stopped.timeout_secs = Some(1);
        let (success, result, _) = parts(bench.run(&script, &stopped).await);
        assert!(!success);
        assert_eq!(result["error"]["name"], "TimeoutError", "{result}");
    }
}

#[actix_rt::test]
async fn a_file_that_grows_too_large_is_refused() {
    let mut bench = Bench::with(RunLimits {
        file_bytes: 100_000,
        ..limits()
    });
    let (what, said) = try_out(&mut bench, "open('big', 'wb').write(b'x' * 200_000)").await;
    assert_eq!(
        (what.as_str(), said.contains("too large")),
        ("refused", true),
        "{said}"
    );
}

#[actix_rt::test]
async fn a_script_that_names_another_group_gets_nobody_killed() {
    let mut bench = Bench::new();
    let mut other = Command::new("sleep")
        .arg("1000")
        .process_group(0)
        .spawn()
        .unwrap();
    let script = python(
        "import os\ndef main(group):\n    for fd in range(3, 20):\n        try: os.write(fd, f'+{group}\\n'.encode())\n        except OSError: pass\n    \
         while True: pass\n",
    );
    let mut bad = job(1, &json!({"group": other.id()}));
    bad.timeout_secs = Some(1);
    let (_, result, _) = parts(bench.run(&script, &bad).await);
    assert_eq!(result["error"]["name"], Value::from("TimeoutError"));
    let ended = other.try_wait().unwrap();
    let _ = other.kill();
    let _ = other.wait();
    assert!(ended.is_none(), "{ended:?}");
}
