//! `build.command` of a project file: run before `deploy`, `up --deploy` and `dev`, and by `dev` again.

use std::net::SocketAddr;
use std::path::Path;

use crate::support::http::get;
use crate::support::process::{Atoll, atoll};
use crate::support::project::PATIENT;
use crate::support::{Project, Up, eventually};

/// A project whose entry module is made by its own build from `src/word.txt`; each run leaves a line in `runs`.
fn project(name: &str) -> Project {
    Project::empty()
        .file(
            "wrangler.toml",
            format!("name = \"{name}\"\nmain = \"dist/index.js\"\ncompatibility_date = \"2026-11-01\"\n{PATIENT}"),
        )
        .file(
            "make.sh",
            "set -e\nmkdir -p dist\nword=$(cat src/word.txt)\ntest \"$word\" != bad\n\
             echo \"made $word for $WRANGLER_COMMAND\"\necho \"$WRANGLER_COMMAND\" >> runs\n\
             echo \"export default { fetch: () => new Response('$word') };\" > dist/index.js\n",
        )
        .file("src/word.txt", "one\n")
}

fn runs(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.path().join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn deploys_run_the_projects_own_build() {
    let up = Up::start();
    let made = project("made").wrangler("[build]\ncommand = \"sh make.sh\"\n");
    let folder = made.path().to_str().unwrap();
    let ran = up.run(&["deploy", folder]).ok();
    assert!(ran.stderr.contains("made one for deploy"), "{}", ran.stderr);
    up.get("made", "/").expect(200, "one");
    made.write("src/word.txt", "two\n");
    // Standard output is for the answer.
    let answer = up.run(&["deploy", folder, "--json"]).json();
    assert_eq!(answer["app"], "made");
    up.get("made", "/").expect(200, "two");
    // What fails is named, and nothing is deployed.
    made.write("src/word.txt", "bad\n");
    let ran = up.run(&["deploy", folder]);
    ran.fails_saying(&["`sh make.sh`", folder, "exit status: 1"]);
    up.get("made", "/").expect(200, "two");
    assert_eq!(runs(&made), ["deploy", "deploy"]);
}

#[test]
fn own_builds_have_a_folder_programs_of_packages_and_environments() {
    let up = Up::start();
    let made = project("placed")
        .wrangler(
            "[build]\ncommand = \"tool one && cd .. && sh make.sh\"\ncwd = \"inner\"\n[env.other.build]\ncommand = \"echo three > src/word.txt; sh make.sh\"\n\
             [env.nowhere.build]\ncommand = \"true\"\ncwd = \"gone\"\n[env.nothing.build]\ncommand = \"true\"\n[env.nothing]\nmain = \"none.js\"\n",
        )
        .file("inner/package.json", "{}")
        .file("node_modules/.bin/tool", "#!/bin/sh\necho \"$1 in $(basename \"$PWD\")\"\n");
    let tool = made.path().join("node_modules/.bin/tool");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let folder = made.path().to_str().unwrap();
    let ran = up.run(&["deploy", folder]).ok();
    assert!(ran.stderr.contains("one in inner"), "{}", ran.stderr);
    up.get("placed", "/").expect(200, "one");
    up.run(&["deploy", folder, "--env", "other"]).ok();
    up.get("placed-other", "/").expect(200, "three");
    up.run(&["deploy", folder, "--env", "nowhere"]).fails_saying(&["gone", "build.cwd"]);
    up.run(&["deploy", folder, "--env", "nothing"]).fails_saying(&["none.js", "does not exist"]);
}

#[test]
fn up_runs_the_projects_own_build() {
    let made = project("brought").wrangler("[build]\ncommand = \"sh make.sh\"\n");
    let up = Up::with(&["--deploy", made.path().to_str().unwrap()]);
    up.get("brought", "/").expect(200, "one");
    assert_eq!(runs(&made), ["deploy"]);
}

/// Puts a file in the place of another at once, so that nobody sees what is between.
fn replace(project: &Project, path: &Path, content: &str) {
    let staged = project.path().join("staged");
    std::fs::write(&staged, content).unwrap();
    std::fs::rename(staged, path).unwrap();
}

#[test]
fn dev_runs_the_projects_own_build_again_when_a_watched_file_changes() {
    let beside = Project::empty().file("note.txt", "x\n");
    let note = beside.path().join("note.txt");
    let made = Project::new("redone")
        .file(
            "make.sh",
            "set -e\nmkdir -p dist\nword=$(cat src/word.txt)\ntest \"$word\" != bad\necho \"$WRANGLER_COMMAND\" >> runs\n\
             echo \"export default '$word $(cat \"$1\")';\" > dist/word.js\n",
        )
        .file("src/word.txt", "one\n")
        .file("other.js", "export default 1;\n")
        .file(
            "main.js",
            "import word from './dist/word.js';\nimport other from './other.js';\n\
             export default { fetch: () => new Response(`${word} ${other}`) };\n",
        )
        .file(
            "wrangler.toml",
            format!(
                "name = \"redone\"\nmain = \"main.js\"\ncompatibility_date = \"2026-11-01\"\n{PATIENT}\
                 [build]\ncommand = \"sh make.sh {}\"\nwatch_dir = [\"src\", \"{}\"]\n",
                note.display(),
                beside.path().display()
            ),
        );
    let word = made.path().join("src/word.txt");
    let mut command = atoll();
    let mut dev = Atoll::spawn(command.current_dir(made.path()).args(["dev", "--port", "0"]));
    let address: SocketAddr = dev.line_with(|line| {
        let rest = &line[line.find("http://")? + "http://".len()..];
        rest[..rest.find('/')?].parse().ok()
    });
    let answers = |expected: &str| {
        eventually(&format!("dev answers {expected:?}"), || {
            (get(address, "localhost", "/").text() == expected).then_some(())
        });
    };
    answers("one x 1");
    replace(&made, &word, "two\n");
    answers("two x 1");
    // What fails is said, and the last version stays.
    replace(&made, &word, "bad\n");
    eventually("the failure is said", || dev.log().contains("the build command `sh make.sh").then_some(()));
    answers("two x 1");
    replace(&made, &word, "three\n");
    answers("three x 1");
    // A folder beside the project is watched as well.
    replace(&made, &note, "y\n");
    answers("three y 1");
    // A change elsewhere does not set it off, nor does what it wrote itself.
    replace(&made, &made.path().join("other.js"), "export default 2;\n");
    answers("three y 2");
    assert_eq!(runs(&made), ["dev"; 4]);
    dev.signal("TERM");
    assert_eq!(dev.wait().code(), Some(0));
}
