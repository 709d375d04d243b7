//! The built-in modules that a worker's compatibility flags give it, as ES modules.
//!
//! The URL of a module is `node:` and its name. It is loaded as a facade of JavaScript that imports the same URL with a
//! `type` attribute, which gives the module's exports as a value, and re-exports what is in it.

use std::cell::OnceCell;
use std::fmt::Write;

use deno_core::{JsRuntime, ModuleSpecifier, v8};
use deno_error::JsErrorBox;

use crate::core::thrown;

/// The attribute by which a facade asks for the exports themselves.
pub(crate) const NODE: &str = "atoll-node";

/// The functions of an isolate that give its built-in modules.
#[derive(Default)]
pub(crate) struct Builtins(OnceCell<Functions>);

struct Functions {
    /// A module's exports, by its name.
    module: v8::Global<v8::Function>,
    /// Takes what only Node.js has on the global away.
    remove_globals: v8::Global<v8::Function>,
    /// Takes the timers of Node.js away, for those of the web.
    remove_timers: v8::Global<v8::Function>,
}

/// What of Node.js a worker finds on its global.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeGlobals {
    /// `Buffer`, `process` and their like.
    pub(crate) objects: bool,
    /// Timers that are objects.
    pub(crate) timers: bool,
}

impl NodeGlobals {
    /// All that there is, as on the global of S0.
    pub(crate) const ALL: Self = Self { objects: true, timers: true };
}

impl Builtins {
    /// Takes the functions by their names.
    pub(crate) fn set(&self, mut function: impl FnMut(&str) -> v8::Global<v8::Function>) {
        let functions = Functions {
            module: function("node"),
            remove_globals: function("removeNodeGlobals"),
            remove_timers: function("removeNodeTimers"),
        };
        // An isolate's functions are taken once.
        let _ = self.0.set(functions);
    }

    /// Takes what is not wanted away from the global, which has all.
    pub(crate) fn restrict_globals(&self, runtime: &mut JsRuntime, wanted: NodeGlobals) -> Result<(), String> {
        deno_core::scope!(scope, runtime);
        if !wanted.objects {
            self.call(scope, |functions| &functions.remove_globals, None)?;
        }
        if !wanted.timers {
            self.call(scope, |functions| &functions.remove_timers, None)?;
        }
        Ok(())
    }

    /// The exports of the module at this URL.
    pub(crate) fn exports(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        url: &str,
    ) -> Result<v8::Global<v8::Value>, JsErrorBox> {
        let exports = self.call(scope, |functions| &functions.module, Some(url));
        exports.map_err(|reason| JsErrorBox::generic(format!("the built-in module {url:?} does not load: {reason}")))
    }

    fn call(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        function: impl FnOnce(&Functions) -> &v8::Global<v8::Function>,
        argument: Option<&str>,
    ) -> Result<v8::Global<v8::Value>, String> {
        let functions = self.0.get().ok_or("the isolate has none")?;
        v8::tc_scope!(let scope, scope);
        let function = v8::Local::new(scope, function(functions));
        let this = v8::undefined(scope).into();
        let argument: Option<v8::Local<'_, v8::Value>> =
            argument.and_then(|text| v8::String::new(scope, text)).map(Into::into);
        match function.call(scope, this, argument.as_slice()) {
            Some(value) => Ok(v8::Global::new(scope, value)),
            None => Err(thrown(scope)),
        }
    }
}

/// The URL of a built-in module, given its name without `node:`.
pub(crate) fn builtin_url(name: &str) -> ModuleSpecifier {
    ModuleSpecifier::parse(&format!("node:{name}")).expect("the names of built-in modules are plain")
}

/// The ES module at `url` that exports what the module has under `names`, and all of it as its default.
pub(crate) fn facade(url: &ModuleSpecifier, names: &[&str]) -> String {
    let mut code = format!("import module from \"{url}\" with {{ type: \"{NODE}\" }}; export default module;\n");
    for (index, name) in names.iter().enumerate() {
        // Not all names may be those of variables.
        let _ = writeln!(code, "const _{index} = module.{name}; export {{ _{index} as {name} }};");
    }
    code
}
