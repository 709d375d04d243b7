//! `atoll dev`: from saving a file to the first answer of the new code, beside Deno's and Bun's own ways of it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::apps;
use crate::bench::{Bench, Outcome};
use crate::figure::{Figure, OURS};
use crate::http::Connection;
use crate::peers::Process;
use crate::report::progress;
use crate::site::COMPATIBILITY_DATE;
use crate::stats::percentile_of;
use crate::warm::rest;

/// Between two saves: longer than any watcher gathers changes for.
const PAUSE: Duration = Duration::from_millis(250);

const PLAIN: &str = "export default { fetch() { return new Response('SAVE'); } };\n";
const HONO: &str = "import { Hono } from 'hono';\nconst app = new Hono();\napp.get('/', (c) => c.text('SAVE'));\n\
    export default app;\n";

/// A project that is served, and the file that is saved.
struct Project {
    server: &'static str,
    figure: usize,
    file: &'static str,
    source: String,
}

/// Ours with a module and with Hono through the project's esbuild; Deno and Bun with a module.
pub fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rounds, saves) = (bench.count(3, 1), bench.count(15, 4));
    let mut figures = vec![
        Figure::lower("one module, p50", "ms").at_most(100.0),
        Figure::lower("one module, slowest", "ms").at_most(100.0),
        Figure::lower("Hono through esbuild, p50", "ms").at_most(100.0),
        Figure::lower("Hono through esbuild, slowest", "ms"),
    ];
    // The packages are those of the measured apps.
    apps::bundle(&bench.out, "json")?;
    let packages = bench.out.join("npm/apps/node_modules");
    for round in 1..=rounds {
        progress(&format!("  round {round} of {rounds}"));
        for project in projects() {
            let latencies = turn(bench, &project, &packages, saves);
            let latencies = latencies.with_context(|| format!("{}, round {round}", project.server))?;
            figures[project.figure].add(project.server, percentile_of(&latencies, 50.0))?;
            figures[project.figure + 1].add(project.server, percentile_of(&latencies, 100.0))?;
        }
    }
    let note = format!(
        "{saves} saves a turn, {} ms after the last was served; from before the file is written to the first byte of the \
         first answer of the new code, asked for again and again. `deno run --watch`, `bun --hot`.",
        PAUSE.as_millis()
    );
    Ok(Outcome { figures, notes: vec![note] })
}

fn projects() -> [Project; 4] {
    let (deno, bun) = (
        "Deno.serve({ hostname: '127.0.0.1', port: PORT }, () => new Response('SAVE'));\n",
        "Bun.serve({ hostname: '127.0.0.1', port: PORT, fetch: () => new Response('SAVE') });\n",
    );
    let project = |server, figure, file, source: &str| Project { server, figure, file, source: source.to_owned() };
    [
        project(OURS, 0, "index.js", PLAIN),
        project("deno", 0, "main.mjs", deno),
        project(OURS, 2, "index.js", HONO),
        project("bun", 0, "main.mjs", bun),
    ]
}

/// Serves the project and saves its file again and again. Returns the latencies, milliseconds.
fn turn(bench: &Bench, project: &Project, packages: &Path, saves: usize) -> anyhow::Result<Vec<f64>> {
    let directory = tempfile::tempdir().context("cannot make a directory for the project")?;
    let file = directory.path().join(project.file);
    // A port that was free a moment ago, for what cannot say which it took.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let source = project.source.replace("PORT", &port.to_string());
    let text = |save: usize| format!("save {save}");
    let save = |number: usize| std::fs::write(&file, source.replace("SAVE", &text(number)));
    save(0)?;
    let mut command = if project.server == OURS {
        let settings =
            format!("name = \"saved\"\nmain = \"index.js\"\ncompatibility_date = \"{COMPATIBILITY_DATE}\"\n");
        std::fs::write(directory.path().join("wrangler.toml"), settings)?;
        if project.figure == 2 {
            std::os::unix::fs::symlink(packages, directory.path().join("node_modules"))?;
            std::fs::write(directory.path().join("package.json"), "{ \"type\": \"module\" }\n")?;
        }
        let mut command = Command::new(bench.atoll.binary());
        command.args(["dev", "--port", &port.to_string()]).arg(directory.path()).env("RUST_LOG", "warn");
        command
    } else {
        let mut command = bench.program(project.server)?.command();
        command.arg(if project.server == "deno" { "--watch" } else { "--hot" }).arg(&file);
        command
    };
    command.stderr(std::process::Stdio::null());
    let mut process = Process::spawn(command, None)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    served(&mut process, address, &text(0), "")?;
    let mut latencies = Vec::new();
    for number in 1..=saves {
        rest(PAUSE);
        let start = Instant::now();
        save(number)?;
        served(&mut process, address, &text(number), &text(number - 1))?;
        latencies.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

/// Asks until the answer is `expect`; until then it is `before`, or there is none while a server starts anew.
fn served(process: &mut Process, address: SocketAddr, expect: &str, before: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut connection = None;
    loop {
        ensure!(process.is_running()?, "the server ended");
        ensure!(Instant::now() < deadline, "{expect:?} is not served within 30 s");
        if connection.is_none() {
            connection = Connection::open(address).ok();
        }
        let answer = connection.as_mut().map(|connection| connection.request("GET", "localhost", "/", &[], b""));
        match answer {
            Some(Ok(answer)) if answer.body == expect.as_bytes() => return Ok(()),
            Some(Ok(answer)) if before.is_empty() || answer.body == before.as_bytes() => {}
            Some(Ok(answer)) => anyhow::bail!("{:?} is served", String::from_utf8_lossy(&answer.body)),
            Some(Err(_)) | None => connection = None,
        }
        rest(Duration::from_micros(500));
    }
}
