//! Workers that are one module which imports nothing, as bundlers make them: compiled and evaluated without the engine's map
//! of modules, which takes several times as long as V8 itself does.
//!
//! Compiled code says whether a bundle's entry is of that kind, so that a start need not look. Whatever is out of the ordinary
//! goes through the map of modules, which has the messages for it.

use deno_core::error::JsError;
use deno_core::v8;
use deno_core::v8::script_compiler::{self, CompileOptions, NoCacheReason, Source};
use deno_core::{FastString, JsRuntime, ModuleId};

/// The entry of a worker, compiled.
pub(crate) enum Entry {
    /// One of the engine's map of modules.
    Mapped(ModuleId),
    /// One that is in no map.
    Alone {
        module: v8::Global<v8::Module>,
        /// It is known to have a default export.
        has_default: bool,
    },
}

impl Entry {
    /// What it exports. `None` if there is no memory for that or execution was terminated.
    pub(crate) fn namespace(&self, runtime: &mut JsRuntime) -> Option<v8::Global<v8::Object>> {
        match self {
            Self::Mapped(id) => runtime.get_module_namespace(*id).ok(),
            Self::Alone { module, .. } => {
                deno_core::scope!(scope, runtime);
                let namespace = v8::Local::new(scope, module).get_module_namespace();
                let namespace = v8::Local::<v8::Object>::try_from(namespace).ok()?;
                Some(v8::Global::new(scope, namespace))
            }
        }
    }
}

/// Whether a module can do without the map of modules, if its text [has no import](has_import): it requests no other, and has no
/// source map within its own text, which the map of modules would find.
///
/// Text that is evaluated later can still import. If it imports this very module, that is another instance of it.
pub(crate) fn is_alone(scope: &mut v8::PinScope<'_, '_>, module: v8::Local<'_, v8::Module>) -> bool {
    let script = module.get_unbound_module_script(scope);
    let map = script.get_source_mapping_url(scope).to_rust_string_lossy(scope);
    module.get_module_requests().length() == 0 && !map.starts_with("data:")
}

/// Whether `import()` or `import.meta` may be in a text, or what is like them (`import.source`, `import.defer`). Comments and
/// strings count as well. A keyword has no escapes (ECMA-262, section 12.7.2), and stands beside what is no part of a name.
pub(crate) fn has_import(text: &[u8]) -> bool {
    const KEYWORD: &[u8] = b"import";
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    memchr::memmem::find_iter(text, KEYWORD).any(|at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        !before.is_some_and(in_name) && is_expression(&text[at + KEYWORD.len()..])
    })
}

/// Whether what follows the keyword may make it an expression. In doubt, as before comments and other scripts' spaces, it may.
fn is_expression(rest: &[u8]) -> bool {
    let in_doubt = |byte: u8| byte == b'/' || byte == b'\\' || !byte.is_ascii();
    let rest = skip_space(rest);
    match rest.first() {
        Some(b'(') => true,
        Some(b'.') => {
            let rest = skip_space(&rest[1..]);
            let properties: [&[u8]; 3] = [b"meta", b"source", b"defer"];
            rest.first().is_some_and(|byte| in_doubt(*byte)) || properties.iter().any(|name| rest.starts_with(name))
        }
        Some(byte) => in_doubt(*byte),
        None => false,
    }
}

fn skip_space(text: &[u8]) -> &[u8] {
    let at = text.iter().position(|byte| !matches!(byte, b'\t'..=b'\r' | b' '));
    &text[at.unwrap_or(text.len())..]
}

/// Compiles a module, by what was compiled of it before where there is that. `None` if it has to go through the map of modules
/// after all.
pub(crate) fn load(
    scope: &mut v8::PinScope<'_, '_>,
    url: &str,
    text: &FastString,
    code: Option<&[u8]>,
) -> Option<v8::Global<v8::Module>> {
    v8::tc_scope!(let scope, scope);
    let module = compile(scope, url, text, code).filter(|module| {
        (code.is_some() || is_alone(scope, *module))
            && module.instantiate_module(scope, no_module) == Some(true)
            && !module.is_graph_async()
    });
    // A catch takes a termination away, and whoever comes next has to meet it.
    if scope.has_terminated() {
        scope.terminate_execution();
        return None;
    }
    module.map(|module| v8::Global::new(scope, module))
}

fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    url: &str,
    text: &FastString,
    code: Option<&[u8]>,
) -> Option<v8::Local<'s, v8::Module>> {
    let name = v8::String::new(scope, url)?;
    let text = text.v8_string(scope).ok()?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, true, None);
    let Some(code) = code else {
        let mut source = Source::new(text, Some(&origin));
        return script_compiler::compile_module(scope, &mut source);
    };
    let mut source = Source::new_with_cached_data(text, Some(&origin), v8::CachedData::new(code));
    let module =
        script_compiler::compile_module2(scope, &mut source, CompileOptions::ConsumeCodeCache, NoCacheReason::NoReason);
    let refused = source.get_cached_data().is_none_or(v8::CachedData::rejected);
    module.filter(|_| !refused)
}

fn no_module<'s>(
    _context: v8::Local<'s, v8::Context>,
    _specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
    _referrer: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    None
}

/// Evaluates a module, which has no `await` at its top level, and runs the microtasks that it leaves.
///
/// # Errors
///
/// What it threw, or nothing when execution was terminated.
pub(crate) fn evaluate(
    scope: &mut v8::PinScope<'_, '_>,
    module: &v8::Global<v8::Module>,
) -> Result<(), Option<Box<JsError>>> {
    v8::tc_scope!(let scope, scope);
    let promise = v8::Local::new(scope, module).evaluate(scope);
    if scope.has_terminated() {
        scope.terminate_execution();
        return Err(None);
    }
    scope.perform_microtask_checkpoint();
    let promise = promise.and_then(|promise| v8::Local::<v8::Promise>::try_from(promise).ok()).ok_or(None)?;
    match promise.state() {
        v8::PromiseState::Fulfilled => Ok(()),
        v8::PromiseState::Rejected => {
            let error = promise.result(scope);
            Err(Some(JsError::from_v8_exception(scope, error)))
        }
        v8::PromiseState::Pending => Err(None),
    }
}

/// What is compiled of a module by now.
pub(crate) fn code(scope: &mut v8::PinScope<'_, '_>, module: &v8::Global<v8::Module>) -> Option<Vec<u8>> {
    let script = v8::Local::new(scope, module).get_unbound_module_script(scope);
    Some(script.create_code_cache()?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::has_import;

    #[test]
    fn what_may_import_is_found_and_what_cannot_is_not() {
        for text in [
            "import('a')",
            "x=import ('a')",
            "...import\n\t('a')",
            "import.meta",
            "a;import . meta",
            "import.source('a')",
            "import.defer('a')",
            "import/**/('a')",
            "import//\n('a')",
            "import.//\nmeta",
            "import\u{a0}('a')",
            "import.\u{2028}meta",
            "'import('",
            "a.import()",
        ] {
            assert!(has_import(text.as_bytes()), "{text:?}");
        }
        for text in [
            "",
            "import",
            "important()",
            "reimport('a')",
            "crypto.subtle.importKey('a')",
            "_import()",
            "import$()",
            "$import()",
            "import2('a')",
            // V8 says which of these are requests for modules.
            "import 'a'",
            "// import { a } from 'a'",
            "// modules/key/import.js",
        ] {
            assert!(!has_import(text.as_bytes()), "{text:?}");
        }
    }
}
