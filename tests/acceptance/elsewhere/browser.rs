//! Chromium without a window, driven by its DevTools protocol over two pipes.
//!
//! Messages are JSON that ends in a zero byte; the browser reads them from descriptor 3 and answers on descriptor 4.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

/// After so long a browser that does not answer is ended, and with it the test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
pub struct Browser {
    child: Child,
    asked: File,
    said: BufReader<File>,
    session: String,
    number: u64,
    /// What the page did without being asked, as it comes.
    pub events: Vec<Value>,
    _folder: TempDir,
}

impl Browser {
    /// Starts one.
    pub fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["asked", "said"].map(|name| folder.path().join(name));
        for pipe in &pipes {
            mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        // The shell opens both pipes at the descriptors that the browser expects.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "asked=$1 said=$2; shift 2; exec \"$@\" 3<\"$asked\" 4>\"$said\"", "sh"]);
        command.args(&pipes).arg(program).args([
            "--headless=new",
            "--remote-debugging-pipe",
            "--disable-gpu",
        ]);
        command.args(["--no-first-run", "--disable-background-networking", "--window-size=1400,1000"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let asked = OpenOptions::new().write(true).open(&pipes[0]).unwrap();
        let said = BufReader::new(File::open(&pipes[1]).unwrap());
        let mut browser = Self {
            child,
            asked,
            said,
            session: String::new(),
            number: 0,
            events: Vec::new(),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached =
            browser.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Calls a method of the protocol.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same where it may fail, as between two pages.
    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.asked.write_all(format!("{message}\0").as_bytes()).unwrap();
        let begun = Instant::now();
        loop {
            let mut answer = Vec::new();
            self.said.read_until(0, &mut answer).unwrap();
            assert!(answer.pop().is_some() && begun.elapsed() < PATIENCE, "{method}: the browser is gone");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.number {
                return match answer.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(answer["result"].clone()),
                };
            }
            if answer.get("method").is_some() {
                self.events.push(answer);
            }
        }
    }

    /// What an expression is in the page; promises are waited for.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].clone()
    }

    /// The same as text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Waits until an expression is true in the page.
    pub fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        let parameters = json!({"expression": expression, "returnByValue": true});
        let is_true = |answer: Value| answer["result"]["value"] == true;
        while !self.ask("Runtime.evaluate", parameters.clone()).is_ok_and(is_true) {
            assert!(begun.elapsed() < PATIENCE, "{expression} does not become true");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "End" => 35,
            "ArrowDown" => 40,
            other => panic!("no code of {other}"),
        };
        for kind in ["rawKeyDown", "keyUp"] {
            let parameters = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", parameters);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
