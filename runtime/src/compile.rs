//! Takes the compiled code of a bundle's modules out of an isolate in which they have run.

use atoll_bundle::{Bundle, Module, ModuleKind};
use deno_core::v8;
use deno_core::v8::script_compiler::{self, CompileOptions, NoCacheReason, Source};

use crate::alone::{has_import, is_alone};
use crate::code_cache::Code;
use crate::loader::module_url;

/// Bundles up to this size, in bytes of JavaScript, have all their functions compiled. Of larger ones most functions are
/// never called, and reading their code would take longer than compiling those that are.
const WHOLE: usize = 16 << 10;

/// Bundles above this size, in bytes of JavaScript, are not compiled ahead.
const LARGEST: usize = 8 << 20;

/// When a bundle's code has this size, in bytes, its other modules have none: regular expressions, which are part of it, can be
/// many times as long as their text.
const MOST: usize = 32 << 20;

fn modules(bundle: &Bundle) -> impl Iterator<Item = &Module> {
    bundle.modules.iter().filter(|module| module.kind == ModuleKind::EsModule)
}

fn bytes(bundle: &Bundle) -> usize {
    modules(bundle).map(|module| module.content.len()).sum()
}

/// Whether the code of a bundle has all its functions, so that none are added when requests call them.
pub(crate) fn is_whole(bundle: &Bundle) -> bool {
    bytes(bundle) <= WHOLE
}

/// Whether there is anything to compile ahead.
pub(crate) fn is_worthwhile(bundle: &Bundle) -> bool {
    (1..=LARGEST).contains(&bytes(bundle))
}

/// The code of each module of JavaScript. The engine finds what it has compiled for an isolate by source and name, and with
/// it the functions that were called since.
pub(crate) fn compiled(scope: &mut v8::PinScope<'_, '_>, bundle: &Bundle) -> Code {
    let whole = is_whole(bundle);
    let (mut code, mut bytes) = (Code::default(), 0);
    for module in modules(bundle) {
        if bytes >= MOST {
            break;
        }
        let Some((compiled, alone)) = code_of(scope, module, whole) else { continue };
        bytes += compiled.len();
        code.modules.insert(module.name.clone(), compiled);
        if module.name == bundle.main {
            (code.alone, code.ascii) = (alone && !has_import(&module.content), module.content.is_ascii());
        }
    }
    code
}

/// The code of a module, and whether it could be [alone](is_alone).
fn code_of(scope: &mut v8::PinScope<'_, '_>, module: &Module, whole: bool) -> Option<(Vec<u8>, bool)> {
    v8::tc_scope!(let scope, scope);
    let name = module_url(&module.name);
    // Under another name it is compiled anew.
    let name = if whole { format!("{name}#whole") } else { name.to_string() };
    let options = if whole { CompileOptions::EagerCompile } else { CompileOptions::NoCompileOptions };
    let name = v8::String::new(scope, &name)?;
    let text = v8::String::new_from_utf8(scope, &module.content, v8::NewStringType::Normal)?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, true, None);
    let mut source = Source::new(text, Some(&origin));
    let compiled = script_compiler::compile_module2(scope, &mut source, options, NoCacheReason::NoReason)?;
    let code = compiled.get_unbound_module_script(scope).create_code_cache()?;
    Some((code.to_vec(), is_alone(scope, compiled)))
}
