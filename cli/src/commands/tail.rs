//! `atoll tail`: an app's log as it is written.

use atoll_protocol::api::LogLine;

use super::{app_name, client};
use crate::args::AppArgs;
use crate::error::CommandError;
use crate::output;

/// Runs the command until the stream ends or Ctrl-C is pressed.
pub async fn run(args: AppArgs) -> Result<(), CommandError> {
    let app = app_name(args.app, args.env.as_deref())?;
    let mut lines = client(&args.client)?.tail(&app).await?;
    if !args.client.json {
        output::note(format!("log of {app}; Ctrl-C ends"));
    }
    loop {
        let line = tokio::select! {
            line = lines.next() => line?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(line) = line else {
            return Err(CommandError::new("tail-ended", "the control plane ended the stream; run the command again"));
        };
        let text = String::from_utf8_lossy(&line);
        if args.client.json {
            output::line(text);
        } else {
            match serde_json::from_str::<LogLine>(&text) {
                Ok(line) => output::line(format_line(&line)),
                Err(_) => output::line(text),
            }
        }
    }
}

/// A log line for a person.
pub fn format_line(line: &LogLine) -> String {
    let time = output::time(line.at);
    let time = time.split_once(' ').map_or(time.as_str(), |(_, time)| time);
    format!("{time} {:<7} {}", line.level, line.message.replace('\n', "\n                 "))
}
