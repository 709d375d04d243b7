//! The same small cases on Atoll, on `workerd` and on Deno. Where the three do not agree, a file beside the cases says
//! whom we follow and which clause of a standard decides.

mod expectations;
mod names;
mod origin;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use self::expectations::{Answers, Expectations};
use crate::support::oracles::Oracle;
use crate::support::process::{Atoll, atoll};
use crate::support::project::{copy, repository};
use crate::support::{Connection, Project, Up};

const DATE: &str = "2026-11-01";

/// For a whole file of cases, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a runtime gave for each case of a file.
type Results = BTreeMap<String, String>;

fn folder() -> PathBuf {
    repository("tests/differential")
}

/// The files of cases, without their ending.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder().join("cases")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".js").expect("a file of cases ends in .js").to_owned())
        .collect();
    names.sort();
    names
}

/// A project whose handler runs the file of cases that the path names.
fn project() -> Project {
    let names = files();
    let imports: String = names.iter().map(|name| format!("import {name} from \"./cases/{name}.js\";\n")).collect();
    let main = format!(
        "import {{ names }} from \"./names.js\";\nimport {{ inner, run }} from \"./run.js\";\n{imports}const files = {{ {} }};\n{MAIN}",
        names.join(", ")
    );
    let project = Project::empty().file("index.js", main).file("entry.js", ENTRY);
    for name in ["classic.js", "crons.js", "names.js", "rpc.js", "run.js"] {
        std::fs::copy(folder().join(name), project.path().join(name)).unwrap();
    }
    std::fs::create_dir(project.path().join("cases")).unwrap();
    copy(&folder().join("cases"), &project.path().join("cases"));
    project
}

const MAIN: &str = "export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.hostname === \"inner.example\") return inner(url, request);
    if (url.pathname === \"/names\") return Response.json(await names(request, env, ctx));
    const [clock, origin] = [url.searchParams.get(\"clock\"), url.searchParams.get(\"origin\")];
    const context = { clock, origin, request, env, ctx };
    return Response.json(await run(files[url.pathname.slice(1)], context));
  },
};
";

/// What only Atoll and workerd load.
const ENTRY: &str = "export { default } from \"./index.js\";\nexport { Named, Rpc } from \"./rpc.js\";\n";

/// The project file for Atoll: the limits are those of a batch, not of a request.
const WRANGLER: &str = "name = \"differential\"
main = \"entry.js\"
compatibility_date = \"2026-11-01\"
compatibility_flags = [\"nodejs_compat\"]
[vars]
TEXT = \"text\"
JSON_VALUE = { a = [1] }
[[services]]
binding = \"SELF\"
service = \"differential\"
[[services]]
binding = \"RPC\"
service = \"differential\"
entrypoint = \"Rpc\"
[[services]]
binding = \"NAMED\"
service = \"differential\"
entrypoint = \"Named\"
[[services]]
binding = \"CLASSIC\"
service = \"classic\"
[limits]
cpu_ms = 30000
wall_ms = 600000
startup_cpu_ms = 5000
subrequests = 1000
";

/// The worker in the syntax of service workers, as a project of its own.
fn classic() -> Project {
    let source = std::fs::read_to_string(folder().join("classic.js")).unwrap();
    let wrangler = format!(
        "name = \"classic\"\nmain = \"index.js\"\ncompatibility_date = {DATE:?}\n[vars]\nTEXT = \"text\"\n[limits]\ncpu_ms = 30000\n"
    );
    Project::empty().file("index.js", source).file("wrangler.toml", wrangler)
}

/// `atoll dev` with the worker of the crons: what sets scheduled handlers off here.
struct Clock {
    url: String,
    _dev: Atoll,
    _project: Project,
}

impl Clock {
    fn start() -> Self {
        let wrangler =
            format!("name = \"crons\"\nmain = \"crons.js\"\ncompatibility_date = {DATE:?}\n[vars]\nTEXT = \"text\"\n");
        let project = project().file("wrangler.toml", wrangler);
        let mut command = atoll();
        let mut dev = Atoll::spawn(command.current_dir(project.path()).args(["dev", "--port", "0"]));
        let address = dev
            .line_with(|line| line.strip_prefix("listening on http://")?.split('/').next()?.parse::<SocketAddr>().ok());
        Self { url: format!("http://{address}/cdn-cgi/handler/scheduled"), _dev: dev, _project: project }
    }
}

/// Runs all files of cases on one runtime.
fn run_all(address: SocketAddr, origin: SocketAddr, clock: Option<&str>) -> BTreeMap<String, Result<Results, String>> {
    let run = |file: String| {
        let mut path = format!("/{file}?origin=http://{origin}");
        if let Some(clock) = clock {
            path = format!("{path}&clock={clock}");
        }
        let answer = Connection::open(address).and_then(|mut connection| {
            connection.stream().set_read_timeout(Some(PATIENCE))?;
            connection.request("GET", "differential.localhost", &path, &[], b"")
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return (file, Err(error.to_string())),
        };
        let results = serde_json::from_slice(&answer.body);
        (file, results.map_err(|_| format!("{} {} {}", answer.status, answer.error(), answer.text())))
    };
    files().into_iter().map(run).collect()
}

#[test]
fn cases_agree_with_workerd_and_deno_or_say_why_not() {
    let origin = origin::start();
    let up = Up::with(&["--allow-egress", "127.0.0.0/8"]);
    up.deploy(classic().path());
    up.deploy(project().file("wrangler.toml", WRANGLER).path());
    let clock = Clock::start();
    let (deno, workerd) = (Oracle::deno(project()), Oracle::workerd(project(), DATE));
    let (mut ours, mut deno, mut workerd) = std::thread::scope(|scope| {
        let deno = scope.spawn(|| run_all(deno.address, origin, None));
        let workerd = scope.spawn(|| run_all(workerd.address, origin, workerd.clock.as_deref()));
        (run_all(up.edge, origin, Some(&clock.url)), deno.join().unwrap(), workerd.join().unwrap())
    });

    let (mut cases, mut agreed, mut complaints) = (0, 0, Vec::new());
    for file in files() {
        let mut take = |runtime: &str, all: &mut BTreeMap<String, Result<Results, String>>| {
            all.remove(&file).unwrap().unwrap_or_else(|error| {
                complaints.push(format!("{file}: {runtime} answered no results: {error}"));
                Results::new()
            })
        };
        let (ours, deno, workerd) = (take("atoll", &mut ours), take("deno", &mut deno), take("workerd", &mut workerd));
        let expectations = Expectations::read(&folder().join("expected").join(format!("{file}.toml")));
        for (case, answer) in &ours {
            let answers = Answers {
                atoll: answer,
                deno: deno.get(case).map_or("nothing", String::as_str),
                workerd: workerd.get(case).map_or("nothing", String::as_str),
            };
            cases += 1;
            agreed += usize::from(answers.agree());
            complaints.extend(expectations.check(case, &answers).map(|problem| format!("{file}: {case}: {problem}")));
        }
        complaints.extend(expectations.unknown(&ours).map(|case| format!("{file}: {case}: there is no such case")));
    }
    #[allow(clippy::print_stdout, reason = "how much was compared")]
    {
        println!("differential: {cases} cases, {agreed} with the same answer in all three runtimes");
    }
    assert!(complaints.is_empty(), "{} of {cases} cases:\n\n{}", complaints.len(), complaints.join("\n\n"));
}
