//! `atoll secret`.

use std::io::{IsTerminal, Read};

use serde_json::json;

use super::{app_name, client};
use crate::args::{SecretArgs, SecretCommand, SecretOf};
use crate::client::Client;
use crate::error::CommandError;
use crate::output;

/// Runs the command.
pub async fn run(args: SecretArgs) -> Result<(), CommandError> {
    match args.command {
        SecretCommand::Put { name, of } => {
            let (client, app, json) = open(of)?;
            let value = read_value(&name)?;
            client.put_secret(&app, &name, value).await?;
            done(json, &app, &name, "set", format!("secret {name} of {app} is set"));
        }
        SecretCommand::Delete { name, of } => {
            let (client, app, json) = open(of)?;
            client.delete_secret(&app, &name).await?;
            done(json, &app, &name, "deleted", format!("secret {name} of {app} is deleted"));
        }
        SecretCommand::List { of } => {
            let (client, app, json) = open(of)?;
            let secrets = client.secrets(&app).await?;
            if json {
                output::json(&secrets);
            } else {
                let rows = secrets
                    .into_iter()
                    .map(|secret| [secret.name, secret.version.to_string(), output::time(secret.updated_at)])
                    .collect();
                output::table(["NAME", "VERSION", "SET"], rows, "no secrets");
            }
        }
    }
    Ok(())
}

fn open(of: SecretOf) -> Result<(Client, String, bool), CommandError> {
    let app = app_name(of.app, of.env.as_deref())?;
    Ok((client(&of.client)?, app, of.client.json))
}

fn done(json: bool, app: &str, name: &str, what: &str, text: String) {
    if json {
        output::json(&json!({ "app": app, "secret": name, what: true }));
    } else {
        output::line(text);
    }
}

/// The value from standard input, without the line break at its end; typed unseen at a terminal.
fn read_value(name: &str) -> Result<String, CommandError> {
    let unreadable =
        |problem: String| CommandError::new("secret-unreadable", format!("cannot read the value: {problem}"));
    let mut value = String::new();
    if std::io::stdin().is_terminal() {
        output::note(format!("Value of {name} (not shown):"));
        value = console::Term::stderr().read_secure_line().map_err(|error| unreadable(error.to_string()))?;
    } else {
        std::io::stdin().read_to_string(&mut value).map_err(|error| unreadable(error.to_string()))?;
    }
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(unreadable("it is empty".into()));
    }
    Ok(value)
}
