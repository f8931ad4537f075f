//! `Browser`: a real Chromium without a window, driven through chromedriver; things are found as a person names them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use fantoccini::{
    Client, ClientBuilder,
    elements::{Element, ElementRef},
    wd::WindowHandle,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    process::{free_port, guarded, in_path},
    wait_for,
};

/// Finds the visible element of a role with an accessible name: the exact one first, else one that begins so.
const FIND: &str = r#"
const [role, name] = arguments;
const roles = {
  button: 'button, [role=button], input[type=submit], summary',
  link: 'a[href], [role=link]',
  field: 'input, textarea, select, [contenteditable], [role=textbox], [role=combobox], [role=switch]',
};
const clean = text => (text || '').replace(/\s+/g, ' ').trim();
const names = element => {
  const byId = (element.getAttribute('aria-labelledby') || '').split(' ')
    .map(id => document.getElementById(id)?.textContent);
  const labels = [...(element.labels || [])].map(label => label.textContent);
  const own = role === 'field' ? [] : [element.textContent, element.value];
  return [element.getAttribute('aria-label'), byId.join(' '), ...labels, ...own, element.placeholder, element.title]
    .map(clean).filter(Boolean);
};
const seen = element => element.checkVisibility({ visibilityProperty: true });
const all = [...document.querySelectorAll(roles[role])].filter(seen).reverse(); // innermost first
return all.find(element => names(element).includes(name))
  || all.reverse().find(element => names(element).some(text => text.startsWith(name))) || null;
"#;

/// A browser with one page open. Ends with the test; call [`Self::close`] at its end.
pub struct Browser {
    client: Client,
    /// Its open stdin keeps chromedriver, and with it Chromium, alive.
    _driver: Child,
}

impl Browser {
    /// A fresh profile and a window of a laptop's size.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// A fresh profile and the screen of a phone: windows of a desktop cannot be so narrow.
    pub async fn phone() -> Self {
        Self::start_with(Some((390, 844))).await
    }

    async fn start_with(screen: Option<(u32, u32)>) -> Self {
        let folder = TempDir::with_prefix("windsock-browser-").expect("a folder can be made");
        let folder = folder.keep(); // removed by the guard, after Chromium has let go of it
        let port = free_port();
        let program = in_path("chromedriver").expect("chromedriver was looked for");
        let mut driver = guarded(&folder, "TERM", &program);
        driver.arg(format!("--port={port}"));
        let driver = driver
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver can be started");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(&folder, screen));
        let url = format!("http://127.0.0.1:{port}");
        let client = wait_for("chromedriver gives a session", async || {
            builder.connect(&url).await.map_err(|e| e.to_string())
        })
        .await;
        Self {
            client,
            _driver: driver,
        }
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    /// The address that is open.
    pub async fn url(&self) -> String {
        let url = self.client.current_url().await;
        url.expect("the browser answers").to_string()
    }

    /// Clicks the button or link of that name.
    pub async fn click(&self, name: &str) {
        wait_for(&format!("'{name}' can be clicked"), async || {
            let found = match self.find("button", name).await {
                Some(button) => Some(button),
                None => self.find("link", name).await,
            };
            let element = found.ok_or("it is not there")?;
            element.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Clicks the button of that name in the open dialog.
    pub async fn click_in_dialog(&self, name: &str) {
        wait_for(&format!("'{name}' of the dialog can be clicked"), async || {
            let click = "const all = [...document.querySelectorAll('dialog[open] .dialog-foot button')]; \
                const one = all.find(button => button.textContent.trim() === arguments[0]); one?.click(); return Boolean(one)";
            let clicked = self.run(click, vec![json!(name)]).await;
            (clicked == true).then_some(()).ok_or("it is not there".into())
        })
        .await;
    }

    /// Types into the field of that label, in place of what it holds.
    pub async fn fill(&self, label: &str, text: &str) {
        wait_for(&format!("'{label}' can be filled"), async || {
            let field = self.find("field", label).await.ok_or("it is not there")?;
            let typed = async {
                field.clear().await?;
                field.send_keys(text).await
            };
            typed.await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Chooses an option, by its text, in the select of that label.
    pub async fn choose(&self, label: &str, option: &str) {
        wait_for(&format!("'{option}' can be chosen"), async || {
            let field = self.find("field", label).await.ok_or("it is not there")?;
            let chosen = field.select_by_label(option).await;
            chosen.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Ticks the box, flips the switch or takes the choice of that label, by a click on the label where there is one:
    /// the control itself may be drawn by it.
    pub async fn tick(&self, label: &str) {
        wait_for(&format!("'{label}' can be ticked"), async || {
            let field = self.find("field", label).await.ok_or("it is not there")?;
            let clicked = "const one = arguments[0]; (one.labels[0] || one).click()";
            let element = serde_json::to_value(field).map_err(|error| error.to_string())?;
            let done = self.client.execute(clicked, vec![element]).await;
            done.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Presses keys where the focus is: a key's name such as `Tab` or `ArrowDown`, or a text to type.
    pub async fn press(&self, keys: &str) {
        wait_for(&format!("'{keys}' is pressed"), async || {
            let element = self.client.active_element().await;
            let element = element.map_err(|error| error.to_string())?;
            let pressed = element.send_keys(key(keys)).await;
            pressed.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Types in place of what the focused field holds.
    pub async fn fill_focused(&self, text: &str) {
        self.run("document.activeElement.select()", vec![]).await;
        self.press(text).await;
    }

    /// Makes the window so large.
    pub async fn resize(&self, width: u32, height: u32) {
        let resized = self.client.set_window_size(width, height).await;
        resized.expect("the window can be resized");
    }

    /// Goes back as the button of the browser does.
    pub async fn back(&self) {
        self.client.back().await.expect("the browser goes back");
    }

    /// Waits until the page shows this text.
    pub async fn see(&self, text: &str) {
        wait_for(&format!("the page shows '{text}'"), async || {
            let all = self.text().await;
            all.contains(text).then_some(()).ok_or(all)
        })
        .await;
    }

    /// Everything the page shows as text.
    pub async fn text(&self) -> String {
        let text = self.run("return document.body.innerText", vec![]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Runs JavaScript in the page; gives what it returns.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        // A page that is just being left has no context to run it in: try the next one.
        wait_for("the script runs", async || {
            let result = self.client.execute(script, arguments.clone()).await;
            result.map_err(|error| error.to_string())
        })
        .await
    }

    /// What axe-core finds wrong with the page as it stands: each rule with the first place it is broken at.
    pub async fn violations(&self) -> Vec<String> {
        let source = fs::read_to_string(axe()).expect("axe-core was looked for");
        self.run(&format!("if (!window.axe) {{ {source} }}"), vec![])
            .await;
        let check = "const done = arguments[0]; \
            const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']; \
            axe.run(document, { runOnly: rules, resultTypes: ['violations'] }).then( \
              found => done(found.violations.map(one => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`)), \
              error => done([String(error)]))";
        let found = self.client.execute_async(check, vec![]).await;
        let found = found.expect("axe-core answers");
        serde_json::from_value(found).expect("it answers with texts")
    }

    /// Opens another tab and goes on there; gives what [`Self::switch_to`] takes to come back.
    pub async fn new_tab(&self) -> WindowHandle {
        let here = self.client.window().await.expect("a tab is open");
        let opened = self.client.new_window(true).await.expect("a tab opens");
        self.switch_to(opened.handle).await;
        here
    }

    /// Goes on in another tab.
    pub async fn switch_to(&self, tab: WindowHandle) {
        let switched = self.client.switch_to_window(tab).await;
        switched.expect("the tab is open");
    }

    /// Keeps a picture as `target/screenshots/<name>.png`.
    pub async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).expect("target can be written");
        let picture = self.client.screenshot().await.expect("a picture is taken");
        fs::write(folder.join(format!("{name}.png")), picture).expect("target can be written");
    }

    /// Ends the session, and with it Chromium.
    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }

    async fn find(&self, role: &str, name: &str) -> Option<Element> {
        let found = self.run(FIND, vec![json!(role), json!(name)]).await;
        // WebDriver §11: an element travels as an object with one member, its reference.
        let reference = found.as_object()?.values().next()?.as_str()?.to_owned();
        let reference = ElementRef::from(reference);
        Some(Element::from_element_id(self.client.clone(), reference))
    }
}

/// WebDriver's code of a named key (WebDriver §17.4.2); other texts stand for themselves.
fn key(name: &str) -> &str {
    match name {
        "Tab" => "\u{e004}",
        "ShiftTab" => "\u{e008}\u{e004}",
        "Enter" => "\u{e007}",
        "Escape" => "\u{e00c}",
        "Space" => " ",
        "End" => "\u{e010}",
        "Home" => "\u{e011}",
        "ArrowUp" => "\u{e013}",
        "ArrowDown" => "\u{e015}",
        text => text,
    }
}

/// Why there can be no browser, if so.
pub fn missing() -> Option<String> {
    let found = in_path("chromedriver").and(chromium());
    found
        .is_none()
        .then(|| "no chromium and chromedriver found".into())
}

/// Why there is no axe-core, if so.
pub fn axe_missing() -> Option<String> {
    (!axe().is_file()).then(|| "no axe-core in target/node; tests/run installs it".into())
}

fn axe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/axe-core/axe.min.js")
}

/// The browser's program.
pub fn chromium() -> Option<PathBuf> {
    in_path("chromium").or_else(|| in_path("google-chrome"))
}

fn capabilities(folder: &Path, screen: Option<(u32, u32)>) -> serde_json::Map<String, Value> {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let mut options = json!({
        "binary": chromium(),
        "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1280,900", profile,
            // Pages of the browser's own, which nobody sees here: they keep both cores busy while ours loads.
            "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,PreloadTopChromeWebUI",
        ],
        // Nor its start page, for the same reason.
        "prefs": {"session": {"restore_on_startup": 4, "startup_urls": ["about:blank"]}},
    });
    // The certificate of a test's server is signed by nobody the browser knows.
    if let Some((width, height)) = screen {
        options["mobileEmulation"] =
            json!({"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}});
    }
    let wanted = json!({ "browserName": "chrome", "acceptInsecureCerts": true, "goog:chromeOptions": options });
    wanted.as_object().cloned().unwrap_or_default()
}
