//! The project's own build while `atoll dev` runs: at first, and again whenever what it is made of has changed.
//!
//! What has changed is told by the content of the files in `watch_dir`, not by the event of a change. So a command that
//! writes there what it wrote before does not set itself off for ever, and a change while it runs is not lost.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::watch::is_skipped;
use crate::build::command;
use crate::error::CommandError;
use crate::output;
use crate::project::Project;
use crate::project::custom_build::CustomBuild;

/// The last run of a project's own build.
#[derive(Default)]
pub struct LastRun(Option<Run>);

struct Run {
    build: CustomBuild,
    /// What was in the watched folders before it.
    content: u64,
    failure: Option<String>,
}

impl LastRun {
    /// Runs the project's own build when it is due. An error stays until it has been run again.
    pub async fn update(&mut self, project: &Project) -> Result<(), CommandError> {
        let Some(build) = &project.build else {
            self.0 = None;
            return Ok(());
        };
        let folders = folders(project);
        let content = tokio::task::spawn_blocking(move || content_of(&folders)).await.map_err(super::crashed)?;
        let up_to_date = self.0.as_ref().filter(|run| (&run.build, run.content) == (build, content));
        let failure = match up_to_date {
            Some(run) => run.failure.clone(),
            None => {
                output::note(format!("running {}", build.command));
                let failure = command::run(project, build, "dev").await.err().map(|error| error.to_string());
                self.0 = Some(Run { build: build.clone(), content, failure: failure.clone() });
                failure
            }
        };
        failure.map_or(Ok(()), |failure| Err(CommandError::new("build-command-failed", failure)))
    }
}

/// The folders that the project's own build is made of; none when there is no such build.
pub fn folders(project: &Project) -> Vec<PathBuf> {
    let watched = project.build.iter().flat_map(|build| &build.watch);
    let path = |folder: &String| project.source.join(folder);
    watched.map(path).map(|path| path.canonicalize().unwrap_or(path)).collect()
}

/// A hash of all files in the folders. What cannot be read counts as not there.
fn content_of(folders: &[PathBuf]) -> u64 {
    fn add(path: &Path, hasher: &mut DefaultHasher) {
        if let Ok(content) = std::fs::read(path) {
            (path, content).hash(hasher);
        }
    }
    fn add_below(folder: &Path, hasher: &mut DefaultHasher) {
        let Ok(entries) = std::fs::read_dir(folder) else { return add(folder, hasher) };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !is_skipped(&entry.path()) => add_below(&entry.path(), hasher),
                Ok(kind) if !kind.is_dir() => add(&entry.path(), hasher),
                _ => {}
            }
        }
    }
    let mut hasher = DefaultHasher::new();
    folders.iter().for_each(|folder| add_below(folder, &mut hasher));
    hasher.finish()
}
