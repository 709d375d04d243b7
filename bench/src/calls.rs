//! One request after another to apps that count their calls.

use std::time::Duration;

use anyhow::ensure;

use crate::http::Connection;
use crate::peers::Running;
use crate::site::counting_answer;
use crate::warm::rest;

/// A connection for the apps of a server.
pub struct Caller<'a> {
    running: &'a Running,
    connection: Connection,
}

impl<'a> Caller<'a> {
    /// Connects.
    pub fn open(running: &'a Running) -> anyhow::Result<Self> {
        Ok(Self { running, connection: Connection::open(running.address)? })
    }

    /// Calls an app for which this is call number `call` in its isolate, and checks that. Returns the time to the first
    /// byte of the answer, milliseconds.
    pub fn count(&mut self, app: &str, call: usize) -> anyhow::Result<f64> {
        let (text, took) = self.call(app)?;
        let expected = counting_answer(app, call);
        ensure!(text.contains(&expected), "{app}, call {call}: {expected:?} is not in {text:?}");
        Ok(took)
    }

    /// Calls an app. Returns the answer's text and the time to its first byte, milliseconds.
    pub fn call(&mut self, app: &str) -> anyhow::Result<(String, f64)> {
        let answer = self.connection.request("GET", &self.running.app(app).host, "/", &[], b"")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "{app} answered {}: {text:?}", answer.status);
        Ok((text, answer.first_byte.as_secs_f64() * 1e3))
    }
}

/// Calls an app that is not measured, so that the machine's and the server's own first times are not another app's, and
/// leaves the server alone until it has done what it does after starting.
pub fn settle(running: &Running, app: &str, expect: &str) -> anyhow::Result<()> {
    let place = running.app(app);
    let answer = Connection::open(place.address)?.request("GET", &place.host, "/", &[], b"")?;
    ensure!(answer.status == 200 && answer.body == expect.as_bytes(), "{app} answered {}", answer.status);
    rest(Duration::from_millis(500));
    Ok(())
}
