//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// Runs Workers projects: an edge function platform in one binary.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, max_term_width = 100)]
pub struct Cli {
    /// How log lines on standard error look; RUST_LOG chooses which there are
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run control plane and edge node in one process
    Up(UpArgs),
    /// Run a control plane
    ControlPlane(RoleArgs),
    /// Run an edge node
    EdgeNode(EdgeNodeArgs),
    /// Make a new project
    Init(InitArgs),
    /// Run the project here, and again whenever a file changes
    Dev(DevArgs),
    /// Build a project and put it into service
    Deploy(DeployArgs),
    /// List an app's versions
    Versions(AppArgs),
    /// Put an earlier version back into service
    Rollback(RollbackArgs),
    /// Show an app's log lines as they come
    Tail(AppArgs),
    /// Make nodes not use what they have cached of an app any more
    Purge(PurgeArgs),
    /// Delete an app with its versions, routes and secrets
    Delete(DeleteArgs),
    /// Manage an app's secrets
    Secret(SecretArgs),
    /// Manage the certificates that edge nodes serve
    Certificates(CertificatesArgs),
    /// Manage access tokens
    Token(TokenArgs),
    /// List the edge nodes
    Nodes(ClientOnly),
    /// List the apps
    Apps(ClientOnly),
    /// List an app's routes
    Routes(AppArgs),
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let right = "it must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:0 (0 takes any port)";
    text.parse().map_err(|_| right.to_owned())
}

fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a version is a number; `atoll versions` lists them".to_owned())
}

/// Where the control plane is, and how to answer.
#[derive(Clone, Debug, Default, Args)]
pub struct ClientArgs {
    /// The control plane's URL [default: that of the platform that runs on the data directory]
    #[arg(long, env = "ATOLL_API", value_name = "URL")]
    pub api: Option<String>,
    /// The access token [default: the admin token in the data directory]
    #[arg(long, env = "ATOLL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The data directory of a platform on this machine [default: $XDG_DATA_HOME/atoll or ~/.local/share/atoll]
    #[arg(long, env = "ATOLL_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Answer in JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of a command that needs nothing but a control plane.
#[derive(Debug, Args)]
pub struct ClientOnly {
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where apps, versions and state are kept [default: $XDG_DATA_HOME/atoll or ~/.local/share/atoll]
    #[arg(long, env = "ATOLL_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address for the apps' clients
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,
    /// Serve TLS there, with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve HTTP/3 beside TLS
    #[arg(long, requires = "tls_cert")]
    pub http3: bool,
    /// Address for the control plane's API
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS", value_parser = address)]
    pub api: SocketAddr,
    /// Deploy this project before serving (repeatable)
    #[arg(long, value_name = "PROJECT")]
    pub deploy: Vec<PathBuf>,
    /// Let apps fetch from these addresses, although they are not public (repeatable)
    #[arg(long, value_name = "CIDR")]
    pub allow_egress: Vec<String>,
    /// Add Server-Timing and Atoll-App, Atoll-Version and Atoll-Isolate to responses
    #[arg(long)]
    pub debug_headers: bool,
    /// Write one JSON line per request to this file
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
}

/// Arguments of `control-plane`.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// The configuration, TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address for the API, instead of the configuration's
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// The data directory, instead of the configuration's
    #[arg(long, env = "ATOLL_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Arguments of `edge-node`.
#[derive(Debug, Args)]
pub struct EdgeNodeArgs {
    #[command(flatten)]
    pub role: RoleArgs,
    /// The control plane's URL, instead of the configuration's
    #[arg(long, value_name = "URL")]
    pub control_plane: Option<String>,
    /// The control plane's public key in hexadecimal, instead of the configuration's
    #[arg(long, value_name = "HEX")]
    pub control_plane_key: Option<String>,
    /// A token with scope `node`, instead of the configuration's
    #[arg(long, env = "ATOLL_NODE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The node's name, instead of the configuration's
    #[arg(long)]
    pub name: Option<String>,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to make, whose last part becomes the app's name
    pub name: PathBuf,
    /// What to start from
    #[arg(long, value_enum, default_value_t = Template::Ts)]
    pub template: Template,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What a new project starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// TypeScript
    Ts,
    /// JavaScript
    Js,
    /// TypeScript with the Hono framework
    Hono,
}

/// Arguments of `dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// The project's folder or project file
    #[arg(default_value = ".")]
    pub project: PathBuf,
    /// Port on 127.0.0.1; 0 takes any
    #[arg(long, default_value_t = 8787)]
    pub port: u16,
    /// Use `[env.NAME]` of the project file
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// Let the code fetch from these addresses besides public ones and this machine's (repeatable)
    #[arg(long, value_name = "CIDR")]
    pub allow_egress: Vec<String>,
    /// Answer in JSON lines on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The project's folder or project file
    #[arg(default_value = ".")]
    pub project: PathBuf,
    /// A note for `atoll versions`
    #[arg(long, short)]
    pub message: Option<String>,
    /// Build and check, but upload nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the bundle's modules into this folder as well
    #[arg(long, value_name = "DIR")]
    pub outdir: Option<PathBuf>,
    /// Do not start the code here before it is uploaded
    #[arg(long)]
    pub no_validate: bool,
    /// Use `[env.NAME]` of the project file
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of a command about one app.
#[derive(Debug, Args)]
pub struct AppArgs {
    /// The app [default: that of the project in this folder]
    pub app: Option<String>,
    /// Use `[env.NAME]` of the project file
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `purge`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["everything", "tag", "prefix"]).required(true).multiple(true))]
pub struct PurgeArgs {
    /// The app [default: that of the project in this folder]
    pub app: Option<String>,
    /// All that is cached of it
    #[arg(long, conflicts_with_all = ["tag", "prefix"])]
    pub everything: bool,
    /// What has this tag in Cache-Tag; may be given again
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// What has a URL that begins so, without scheme: shop.example/images/; may be given again
    #[arg(long, value_name = "HOST/PATH")]
    pub prefix: Vec<String>,
    /// Use `[env.NAME]` of the project file
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The version [default: the one before the version in service]
    #[arg(value_parser = version)]
    pub version: Option<u64>,
    /// The app [default: that of the project in this folder]
    #[arg(long)]
    pub app: Option<String>,
    /// Use `[env.NAME]` of the project file
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The app
    pub app: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `secret`.
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret; the value is read from standard input
    Put {
        /// Its name in `env`
        name: String,
        #[command(flatten)]
        of: SecretOf,
    },
    /// List the names
    List {
        #[command(flatten)]
        of: SecretOf,
    },
    /// Delete a secret
    Delete {
        /// Its name in `env`
        name: String,
        #[command(flatten)]
        of: SecretOf,
    },
}

/// Whose secrets.
#[derive(Debug, Args)]
pub struct SecretOf {
    /// The app [default: that of the project in this folder]
    #[arg(long)]
    pub app: Option<String>,
    /// Use `[env.NAME]` of the project file
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `certificates`.
#[derive(Debug, Args)]
pub struct CertificatesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CertificatesCommand,
}

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub enum CertificatesCommand {
    /// Serve a certificate on all nodes, in place of the one with its name
    Add {
        /// A name for it: lower-case letters, digits, -, _ and .
        name: String,
        /// The certificate and what leads from it to the root (PEM)
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// The certificate's private key (PEM)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the certificates, and how getting them by ACME goes
    List(ClientOnly),
    /// Remove a certificate; one by ACME is ordered anew while an app has a route for its host
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Get a new certificate by ACME now
    Renew {
        /// Its name, acme:HOST
        name: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is shown once
    Create {
        /// What it is for
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = TokenScope::Deploy)]
        scope: TokenScope,
        /// Days until it expires [default: never]
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u64>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the tokens
    List(ClientOnly),
    /// Make a token invalid
    Revoke {
        /// Its id, as `atoll token list` shows it
        id: String,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenScope {
    /// Everything
    Admin,
    /// Apps, versions, deployments, routes, secrets, tail
    Deploy,
    /// Reading
    Read,
    /// An edge node's own business
    Node,
}

impl Command {
    /// Whether the answer is JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Up(_) | Self::ControlPlane(_) | Self::EdgeNode(_) => false,
            Self::Init(args) => args.client.json,
            Self::Dev(args) => args.json,
            Self::Deploy(args) => args.client.json,
            Self::Versions(args) | Self::Tail(args) | Self::Routes(args) => args.client.json,
            Self::Rollback(args) => args.client.json,
            Self::Purge(args) => args.client.json,
            Self::Delete(args) => args.client.json,
            Self::Secret(args) => match &args.command {
                SecretCommand::Put { of, .. } | SecretCommand::List { of } | SecretCommand::Delete { of, .. } => {
                    of.client.json
                }
            },
            Self::Certificates(args) => match &args.command {
                CertificatesCommand::Add { client, .. }
                | CertificatesCommand::Remove { client, .. }
                | CertificatesCommand::Renew { client, .. } => client.json,
                CertificatesCommand::List(args) => args.client.json,
            },
            Self::Token(args) => match &args.command {
                TokenCommand::Create { client, .. } | TokenCommand::Revoke { client, .. } => client.json,
                TokenCommand::List(args) => args.client.json,
            },
            Self::Nodes(args) | Self::Apps(args) => args.client.json,
        }
    }

    /// Whether the command runs JavaScript, so that V8 must be set up before any thread is.
    pub fn needs_engine(&self) -> bool {
        match self {
            Self::Up(_) | Self::EdgeNode(_) | Self::Dev(_) => true,
            Self::Deploy(args) => !args.no_validate,
            _ => false,
        }
    }

    /// The least level of log lines when RUST_LOG says nothing: servers say what they do, clients only what is wrong.
    pub fn log_level(&self) -> &'static str {
        match self {
            Self::Up(_) | Self::ControlPlane(_) | Self::EdgeNode(_) => "info",
            _ => "warn",
        }
    }
}
