//! Modules that the platform has built in, such as `cloudflare:workers`.
//!
//! One is loaded as a small facade that names its exports. The facade imports the same specifier with a `type` attribute,
//! and that module's value is the object a function of S0 returns.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use deno_core::v8;
use deno_core::{
    CustomModuleEvaluationKind, FastString, ModuleSource, ModuleSourceCode, ModuleSpecifier, ModuleType,
    RequestedModuleType,
};
use deno_error::JsErrorBox;

use crate::core::thrown;

/// The `type` attribute by which a facade asks for the module behind it.
pub(crate) const KIND: &str = "atoll-builtin";

/// The names that a built-in module exports; `None` when there is no such module.
pub(crate) fn exports(specifier: &str) -> Option<&'static [&'static str]> {
    atoll_web::BUILTINS.iter().find(|(name, _)| *name == specifier).map(|(_, exports)| *exports)
}

/// The source of a built-in module, or of the facade before it.
pub(crate) fn source(url: &ModuleSpecifier, names: &[&str], requested: &RequestedModuleType) -> ModuleSource {
    if *requested == RequestedModuleType::Other(Cow::Borrowed(KIND)) {
        let code = ModuleSourceCode::String(FastString::from_static(""));
        return ModuleSource::new(ModuleType::Other(Cow::Borrowed(KIND)), code, url, None);
    }
    let names = names.join(", ");
    let code = format!(
        "import builtin from \"{url}\" with {{ type: \"{KIND}\" }}; export const {{ {names} }} = builtin; export default builtin;"
    );
    ModuleSource::new(ModuleType::JavaScript, ModuleSourceCode::String(FastString::from(code)), url, None)
}

/// The function that makes built-in modules, once S0 is restored.
#[derive(Clone, Default)]
pub(crate) struct PlatformModules(Rc<RefCell<Option<v8::Global<v8::Function>>>>);

impl PlatformModules {
    pub(crate) fn set(&self, function: v8::Global<v8::Function>) {
        *self.0.borrow_mut() = Some(function);
    }

    /// The exports of the module.
    pub(crate) fn evaluate(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        specifier: &str,
    ) -> Result<CustomModuleEvaluationKind, JsErrorBox> {
        let failed =
            |reason: &str| JsErrorBox::type_error(format!("the module {specifier:?} cannot be used: {reason}"));
        v8::tc_scope!(let scope, scope);
        let function = self.0.borrow().clone().ok_or_else(|| failed("the isolate is not set up"))?;
        let function = v8::Local::new(scope, function);
        let name = v8::String::new(scope, specifier).ok_or_else(|| failed("its name is too long"))?;
        let this = v8::undefined(scope).into();
        match function.call(scope, this, &[name.into()]) {
            Some(value) => Ok(CustomModuleEvaluationKind::Synthetic(v8::Global::new(scope, value))),
            None => Err(failed(&thrown(scope))),
        }
    }
}
