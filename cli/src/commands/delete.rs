//! `atoll delete`.

use std::io::IsTerminal;

use serde_json::json;

use super::client;
use crate::args::DeleteArgs;
use crate::error::CommandError;
use crate::output;

/// Runs the command; asks first unless told not to.
pub async fn run(args: DeleteArgs) -> Result<(), CommandError> {
    let client = client(&args.client)?;
    let app = client.app(&args.app).await?;
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            return Err(CommandError::new("not-confirmed", format!("{} is not deleted: add --yes", app.name)));
        }
        output::note(format!("Delete {} with all its versions, routes and secrets? Type its name:", app.name));
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        if answer.trim() != app.name {
            return Err(CommandError::new("not-confirmed", format!("{} is not deleted", app.name)));
        }
    }
    client.delete_app(&app.name).await?;
    if args.client.json {
        output::json(&json!({ "app": app.name, "deleted": true }));
    } else {
        output::line(format!("{} is deleted", app.name));
    }
    Ok(())
}
