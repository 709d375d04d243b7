//! `atoll token`.

use atoll_protocol::api::{Scope, TokenRequest};
use serde_json::json;

use super::client;
use crate::args::{TokenArgs, TokenCommand, TokenScope};
use crate::error::CommandError;
use crate::output;

/// Runs the command.
pub async fn run(args: TokenArgs) -> Result<(), CommandError> {
    match args.command {
        TokenCommand::Create { name, scope, expires_in_days, client: target } => {
            let expires_in = expires_in_days.map(|days| days.saturating_mul(86_400));
            let request = TokenRequest { name, scope: scope.into(), expires_in };
            let created = client(&target)?.create_token(&request).await?;
            if target.json {
                output::json(&created);
            } else {
                output::note(format!("token {} ({}); it is shown only now:", created.info.id, created.info.name));
                output::line(&created.token);
                if created.info.scope == Scope::Node {
                    output::note(format!(
                        "the control plane's key, which the node's configuration names: {}",
                        created.control_plane_key
                    ));
                }
            }
        }
        TokenCommand::List(args) => {
            let tokens = client(&args.client)?.tokens().await?;
            if args.client.json {
                output::json(&tokens);
            } else {
                let rows = tokens
                    .into_iter()
                    .map(|token| {
                        let expires = token.expires_at.map_or_else(|| "never".into(), output::time);
                        let scope = format!("{:?}", token.scope).to_lowercase();
                        [token.id, token.name, scope, output::time(token.created_at), expires]
                    })
                    .collect();
                output::table(["ID", "NAME", "SCOPE", "CREATED", "EXPIRES"], rows, "no tokens");
            }
        }
        TokenCommand::Revoke { id, client: target } => {
            client(&target)?.revoke_token(&id).await?;
            if target.json {
                output::json(&json!({ "id": id, "revoked": true }));
            } else {
                output::line(format!("token {id} is no longer valid"));
            }
        }
    }
    Ok(())
}

impl From<TokenScope> for Scope {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Admin => Self::Admin,
            TokenScope::Deploy => Self::Deploy,
            TokenScope::Read => Self::Read,
            TokenScope::Node => Self::Node,
        }
    }
}
