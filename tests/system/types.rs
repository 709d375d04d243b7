//! The examples against the types that Workers projects are written with: `@cloudflare/workers-types`.

use std::process::Command;

use crate::support::oracles::package;
use crate::support::project::repository;
use crate::support::{Project, npm};

#[test]
fn workers_types_check_the_examples() {
    let project = Project::copy_of(&repository("examples"));
    npm::install(&project, &["hono", "itty-router"]);
    let types = package("@cloudflare/workers-types");
    let options = serde_json::json!({
        "compilerOptions": {
            "target": "es2024",
            "lib": ["es2024"],
            "module": "esnext",
            "moduleResolution": "bundler",
            "strict": true,
            "noEmit": true,
            // hono's own types of JSX speak of events that only browsers have.
            "skipLibCheck": true,
            "types": [types],
            "jsx": "react-jsx",
            "jsxImportSource": "hono/jsx",
        },
        "include": ["*/src/*"],
    });
    project.write("tsconfig.json", options.to_string());
    let mut compiler = Command::new(package("@typescript/typescript-linux-x64/lib/tsc"));
    let output = compiler.arg("--project").arg(project.path()).output().expect("the TypeScript compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
