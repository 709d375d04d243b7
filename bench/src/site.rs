//! What a server is started with: apps, each of which answers at a host of its own.

/// The date of the behaviour that apps are written for, where a platform asks for one.
pub const COMPATIBILITY_DATE: &str = "2026-11-01";

/// The answer of the app that the warm measurements call.
pub const HELLO: &str = "Hello World\n";

/// Source of an app that answers [`HELLO`].
pub fn hello_source() -> String {
    format!("export default {{ fetch() {{ return new Response({HELLO:?}); }} }};\n")
}

/// Source of an app that counts its calls, so that the first answer of an isolate differs from its later ones.
pub fn counting_source() -> String {
    "let calls = 0;\nexport default { fetch() { calls += 1; return new Response(`${APP_NAME} ${calls}\\n`); } };\n"
        .into()
}

/// What the counting app of this name answers to call number `call` of one isolate.
pub fn counting_answer(app: &str, call: usize) -> String {
    format!("{app} {call}\n")
}

/// Apps to deploy.
#[derive(Clone)]
pub struct Site {
    /// The apps, by their sources.
    pub fleets: Vec<Fleet>,
    /// What Node.js runs in place of the one app, which otherwise goes through an adapter.
    pub node_program: Option<&'static str>,
    /// What is kept of the apps' code before the server is started.
    pub code: Code,
}

/// What a platform that compiles ahead has on its disk when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Whatever there was time for.
    Whatever,
    /// Every app's code has been compiled when it was deployed; no app has answered a request.
    Compiled,
    /// Each app of a fleet has answered some requests before the server was started anew, and the functions they called
    /// are kept. Only for apps that are large enough for that to make a difference.
    Used,
}

/// Apps of one source. In the module, `APP_NAME` is the app's own name, so that no two have the same code.
#[derive(Clone)]
pub struct Fleet {
    name: String,
    source: String,
    count: Option<usize>,
}

impl Site {
    /// A site of one app.
    pub fn one(name: &str, source: String) -> Self {
        Self::of(vec![Fleet::one(name, source)])
    }

    /// A site of apps that may or may not have been compiled.
    pub fn of(fleets: Vec<Fleet>) -> Self {
        Self { fleets, node_program: None, code: Code::Whatever }
    }

    /// How many apps there are.
    pub fn len(&self) -> usize {
        self.fleets.iter().map(|fleet| fleet.count.unwrap_or(1)).sum()
    }

    /// The name and the source of every app.
    pub fn members(&self) -> impl Iterator<Item = (String, String)> {
        self.fleets.iter().flat_map(|fleet| {
            fleet.names().map(|name| {
                let source = fleet.source_of(&name);
                (name, source)
            })
        })
    }
}

impl Fleet {
    /// One app. A platform may give it a service of its own.
    pub fn one(name: &str, source: String) -> Self {
        Self { name: name.to_owned(), source, count: None }
    }

    /// Apps `NAME-0`, `NAME-1` and so on, among which a platform finds the one that is asked for.
    pub fn many(name: &str, source: String, count: usize) -> Self {
        Self { name: name.to_owned(), source, count: Some(count) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The module without its first line, which [`Self::source_of`] puts before it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is one app.
    pub fn is_one(&self) -> bool {
        self.count.is_none()
    }

    /// The names of its apps.
    pub fn names(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self.count {
            None => Box::new(std::iter::once(self.name.clone())),
            Some(count) => Box::new((0..count).map(|index| member(&self.name, index))),
        }
    }

    /// The module of the app of that name.
    pub fn source_of(&self, name: &str) -> String {
        format!("const APP_NAME = {name:?};\n{}", self.source)
    }
}

/// The name of app `index` of a fleet.
pub fn member(fleet: &str, index: usize) -> String {
    format!("{fleet}-{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_app_has_a_name_and_code_of_its_own() {
        let site = Site::of(vec![Fleet::one("a", "x".into()), Fleet::many("b", "y".into(), 2)]);
        let members: Vec<_> = site.members().collect();
        assert_eq!(site.len(), members.len());
        assert_eq!(members[0], ("a".into(), "const APP_NAME = \"a\";\nx".into()));
        assert_eq!(members[2], ("b-1".into(), "const APP_NAME = \"b-1\";\ny".into()));
    }
}
