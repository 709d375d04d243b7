//! What can go wrong in a command, as the user reads it: one paragraph, and a stable word for `--json`.

use crate::assets::AssetError;
use crate::build::errors::BuildError;
use crate::client::ClientError;
use crate::output;
use crate::project::ProjectError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The project file.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The static files.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// The control plane, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The code was built but does not start.
    #[error("{message}{stack}")]
    Start {
        /// The runtime's word for it.
        code: &'static str,
        /// What went wrong.
        message: String,
        /// Where, each position on a line of its own; empty when it is not known.
        stack: String,
    },
    /// Anything else.
    #[error("{message}")]
    Other {
        /// A stable word.
        code: &'static str,
        /// What was wrong and what to do.
        message: String,
    },
}

impl CommandError {
    /// An error of its own kind.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::Other { code, message: message.into() }
    }

    /// A stable word for it.
    pub fn code(&self) -> &str {
        match self {
            Self::Project(_) => "project-invalid",
            Self::Build(error) => error.code(),
            Self::Assets(error) => error.code(),
            Self::Client(error) => error.code(),
            Self::Start { code, .. } | Self::Other { code, .. } => code,
        }
    }

    /// Shows it: on standard error, and with `json` as an object on standard output too.
    pub fn report(&self, json: bool) {
        if json {
            self.report_json();
        }
        output::note(self.render());
    }

    /// Shows it as an object on standard output.
    pub fn report_json(&self) {
        let error = serde_json::json!({ "code": self.code(), "message": self.to_string() });
        output::json(&serde_json::json!({ "error": error }));
    }

    /// The text for a person.
    pub fn render(&self) -> String {
        let (red, plain) = if output::colors() { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
        if let Self::Build(error @ BuildError::Source(_)) = self {
            let theme = if output::colors() {
                miette::GraphicalTheme::unicode()
            } else {
                miette::GraphicalTheme::unicode_nocolor()
            };
            let mut text = String::new();
            let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false);
            if handler.render_report(&mut text, error).is_ok() {
                return format!("{red}error:{plain} {}", text.trim().trim_start_matches("× "));
            }
        }
        format!("{red}error:{plain} {self}")
    }
}
