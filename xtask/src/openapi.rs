//! `cargo xtask openapi`: keeps the committed OpenAPI file equal to what the control plane serves. The comparison is a test
//! of the control plane; the same test writes the file when it is told to.

use crate::shell;

/// Writes the file, or only compares it.
pub fn run(check: bool) -> anyhow::Result<()> {
    let mut command = shell::cargo();
    command.args(["test", "--quiet", "--package", "atoll-control-plane", "--lib", "openapi"]);
    if !check {
        command.env("ATOLL_REFRESH_OPENAPI", "1");
    }
    shell::run(&mut command)
}
