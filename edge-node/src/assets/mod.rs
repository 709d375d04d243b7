//! Static files of an app: answered from this node's store, without an isolate, before the app's code is asked or in its
//! stead; and for its code, by a binding.
//!
//! Which file answers is `atoll_assets`' to decide; here are the fields of the answer, conditions, ranges and codings.

mod store;

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use atoll_assets::{Asked, Decision, File, Globs, Site, is_compressible};
use atoll_http_cache::answer::Bytes as Wanted;
use atoll_http_cache::conditional;
use atoll_http_cache::range::{self, Selected};
use atoll_protocol::config::{AssetSettings, CompressionSettings, NotFoundHandling};
use atoll_runtime::Body;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use self::store::IN_MEMORY;
pub use self::store::{AssetStore, AssetUnavailable, Content, LocalAsset};
use crate::body::Outgoing;
use crate::cache::content;
use crate::compress::{Accepts, Coding, SMALLEST_BODY, Variant, add_vary, forbids_transformation};
use crate::errors::EdgeError;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// How long the first request for a file waits for its compressed variant, before it is served without.
const PATIENCE: Duration = Duration::from_secs(2);

/// A request for static files.
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host without its port, in lower case.
    pub host: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent.
    pub query: Option<&'a str>,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// Which codings the answer may have.
    pub accepts: Accepts,
}

/// The static files of a version.
pub struct VersionAssets {
    app: Arc<str>,
    version: u64,
    settings: AssetSettings,
    compression: CompressionSettings,
    worker_first: Globs,
    store: Arc<AssetStore>,
    site: OnceCell<Arc<Site>>,
}

impl VersionAssets {
    /// The files of a version with these settings.
    pub fn new(
        app: Arc<str>,
        version: u64,
        settings: &AssetSettings,
        compression: CompressionSettings,
        store: Arc<AssetStore>,
    ) -> Self {
        Self {
            app,
            version,
            // The control plane has checked them.
            worker_first: Globs::parse(&settings.run_worker_first).unwrap_or_default(),
            settings: settings.clone(),
            compression,
            store,
            site: OnceCell::new(),
        }
    }

    /// What was configured.
    pub fn settings(&self) -> &AssetSettings {
        &self.settings
    }

    /// The answer to a client's request; `None` when it is for the app's code.
    pub async fn answer(&self, request: &Request<'_>) -> Result<Option<Response<Outgoing>>, EdgeError> {
        if self.worker_first.matches(request.path) {
            return Ok(None);
        }
        let navigates = || request.headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
        let missing = match self.settings.without_worker || (self.settings.navigation_first && navigates()) {
            true => self.settings.not_found_handling,
            false => NotFoundHandling::None,
        };
        let answer = self.respond(request, missing).await?;
        Ok(match answer {
            None if self.settings.without_worker => Some(empty(StatusCode::NOT_FOUND)),
            answer => answer,
        })
    }

    /// The answer to a request of the app's code.
    pub async fn fetch(&self, request: &Request<'_>) -> Result<Response<Outgoing>, EdgeError> {
        let answer = self.respond(request, self.settings.not_found_handling).await?;
        Ok(answer.unwrap_or_else(|| empty(StatusCode::NOT_FOUND)))
    }

    async fn respond(
        &self,
        request: &Request<'_>,
        missing: NotFoundHandling,
    ) -> Result<Option<Response<Outgoing>>, EdgeError> {
        let site = self.site.get_or_try_init(|| self.store.site(self.settings.manifest)).await;
        let site = site.map_err(|error| self.unavailable(&error))?;
        let asked = Asked { method: request.method, host: request.host, path: request.path, query: request.query };
        let mut response = match site.decide(self.settings.html_handling, missing, &asked) {
            Decision::Nothing => return Ok(None),
            Decision::NotFound => empty(StatusCode::NOT_FOUND),
            Decision::MethodNotAllowed => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            Decision::Redirect(status, location) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
                let mut response = empty(status);
                if let Ok(location) = HeaderValue::try_from(location) {
                    response.headers_mut().insert(LOCATION, location);
                }
                response
            }
            Decision::File(file, status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                let file = self.file(request, site, file, status).await;
                return file.map(Some).map_err(|error| self.unavailable(&error));
            }
        };
        site.apply_headers(request.host, request.path, response.headers_mut());
        Ok(Some(response))
    }

    async fn file(
        &self,
        request: &Request<'_>,
        site: &Site,
        file: &File,
        status: StatusCode,
    ) -> Result<Response<Outgoing>, AssetUnavailable> {
        let kind = file.kind.as_deref().unwrap_or("application/octet-stream");
        let fixed = || {
            let mut rules = HeaderMap::new();
            site.apply_headers(request.host, request.path, &mut rules);
            forbids_transformation(&rules)
        };
        let worth_it = self.compression.enabled && file.size >= SMALLEST_BODY && is_compressible(kind);
        let compressible = worth_it && !fixed();
        let variant = if compressible { self.variant(request, file).await? } else { None };
        let mut headers = HeaderMap::with_capacity(8);
        if let Ok(kind) = HeaderValue::from_str(kind) {
            headers.insert(CONTENT_TYPE, kind);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
        // A tag of its own for every coding, so that each is a strong one (RFC 9110 §8.8.3.3).
        let coding = variant.as_ref().map(|(coding, _)| *coding);
        let hash = file.hash.to_string();
        let suffix = coding.map(|coding| format!("-{}", coding.as_str())).unwrap_or_default();
        if let Ok(etag) = HeaderValue::try_from(format!("\"{}{suffix}\"", &hash[..32])) {
            headers.insert(ETAG, etag);
        }
        site.apply_headers(request.host, request.path, &mut headers);
        if compressible {
            add_vary(&mut headers);
        }
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding.header());
        }
        // Without a date of modification, only entity tags are conditions.
        let asks_by_tag = request.headers.contains_key(http::header::IF_NONE_MATCH);
        if asks_by_tag && conditional::not_modified(request.headers, status, &headers, 0) {
            conditional::strip_content_fields(&mut headers);
            return Ok(response(StatusCode::NOT_MODIFIED, headers, Body::Empty));
        }
        if let Some((_, bytes)) = variant {
            return Ok(whole(request.method, status, headers, Content::Memory(bytes)));
        }
        let content = self.store.content(file.hash, file.size).await?;
        if status != StatusCode::OK {
            return Ok(whole(request.method, status, headers, content));
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let length = length(&content);
        match range::select(request.method, request.headers, &headers, length) {
            Selected::Whole => Ok(whole(request.method, status, headers, content)),
            Selected::Unsatisfiable => {
                headers.remove(CONTENT_TYPE);
                headers.insert(CONTENT_RANGE, range::content_range(None, length));
                Ok(response(StatusCode::RANGE_NOT_SATISFIABLE, headers, Body::Empty))
            }
            Selected::Parts(parts) => {
                let wanted = match parts.as_slice() {
                    [part] => {
                        headers.insert(CONTENT_RANGE, range::content_range(Some(*part), length));
                        Wanted::Part(*part)
                    }
                    parts => {
                        let (kind, pieces) = range::multipart(parts, &headers, length, &boundary());
                        headers.insert(CONTENT_TYPE, kind);
                        Wanted::Pieces(pieces)
                    }
                };
                Ok(response(StatusCode::PARTIAL_CONTENT, headers, body(content, wanted)))
            }
        }
    }

    /// The file in the coding that suits the client. Ranges are of the file as it is.
    async fn variant(
        &self,
        request: &Request<'_>,
        file: &File,
    ) -> Result<Option<(Coding, bytes::Bytes)>, AssetUnavailable> {
        let Some(coding) = request.accepts.best(Coding::SMALLEST) else { return Ok(None) };
        if request.headers.contains_key(http::header::RANGE)
            || file.size > IN_MEMORY
            || !self.store.variants.takes(file.size)
        {
            return Ok(None);
        }
        let get = || self.store.variants.get(file.hash, coding, |()| true);
        let ready = match get() {
            Variant::Missing => {
                let Content::Memory(content) = self.store.content(file.hash, file.size).await? else { return Ok(None) };
                match self.store.variants.make(file.hash, coding, (), content) {
                    Some(made) => {
                        // Whoever does not get it in time gets it next time.
                        let _ = timeout(PATIENCE, made).await;
                        get()
                    }
                    None => Variant::Missing,
                }
            }
            found => found,
        };
        Ok(match ready {
            Variant::Ready(bytes) => Some((coding, bytes)),
            Variant::Useless | Variant::Missing => None,
        })
    }

    fn unavailable(&self, error: &AssetUnavailable) -> EdgeError {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        tracing::error!(app = %self.app, version = self.version, "{error}{cause}");
        EdgeError::AssetUnavailable { app: self.app.to_string(), version: self.version }
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Outgoing> {
    content::response(status, headers, body)
}

fn empty(status: StatusCode) -> Response<Outgoing> {
    response(status, HeaderMap::new(), Body::Empty)
}

fn length(content: &Content) -> u64 {
    match content {
        Content::Memory(bytes) => bytes.len() as u64,
        Content::Disk(_, length) => *length,
    }
}

fn whole(method: &Method, status: StatusCode, mut headers: HeaderMap, content: Content) -> Response<Outgoing> {
    if *method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length(&content)));
        return response(status, headers, Body::Empty);
    }
    response(status, headers, body(content, Wanted::Whole))
}

fn body(content: Content, wanted: Wanted) -> Body {
    match content {
        Content::Memory(bytes) => content::from_memory(&bytes, wanted),
        Content::Disk(file, length) => {
            let read = move |start: u64, length: u64| {
                let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes)
            };
            content::from_reads(length, read, wanted)
        }
    }
}

/// Separates the parts of an answer; not guessable.
fn boundary() -> String {
    let mut random = [0; 16];
    // Without randomness a boundary can be guessed, which harms only who reads an answer of several ranges.
    let _ = aws_lc_rs::rand::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
