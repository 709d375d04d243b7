//! Stacks, and the text of functions, as the author of a worker reads them: what the platform is made of is not shown.

use deno_core::v8;

/// How the names of the platform's own scripts begin. A worker whose scripts say that they are called so (`sourceURL`)
/// hides what is its own.
const PLATFORM: &str = "ext:";

/// Called by the engine when the stack of an error is read first: without the frames of the platform, which say nothing to
/// whoever wrote the worker. `Error.prepareStackTrace` is not shown them either.
pub fn prepare_stack_trace<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    error: v8::Local<'s, v8::Value>,
    sites: v8::Local<'s, v8::Array>,
) -> v8::Local<'s, v8::Value> {
    let all = sites.length();
    let mut own = Vec::with_capacity(all as usize);
    for index in 0..all {
        if let Some(site) = sites.get_index(scope, index)
            && !is_of_platform(scope, site)
        {
            own.push(site);
        }
    }
    let sites = if own.len() == all as usize { sites } else { v8::Array::new_with_elements(scope, &own) };
    deno_core::error::prepare_stack_trace_callback(scope, error, sites)
}

fn is_of_platform<'s>(scope: &mut v8::PinScope<'s, '_>, site: v8::Local<'s, v8::Value>) -> bool {
    v8::tc_scope!(let scope, scope);
    let name = script_name(scope, site);
    name.is_some_and(|name| begins(scope, name))
}

fn script_name<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    site: v8::Local<'s, v8::Value>,
) -> Option<v8::Local<'s, v8::Value>> {
    let site = v8::Local::<v8::Object>::try_from(site).ok()?;
    let key = v8::String::new(scope, "getFileName")?;
    let get = v8::Local::<v8::Function>::try_from(site.get(scope, key.into())?).ok()?;
    get.call(scope, site.into(), &[])
}

/// Whether `name` is that of a script of the platform.
fn begins<'s>(scope: &mut v8::PinScope<'s, '_>, name: v8::Local<'s, v8::Value>) -> bool {
    v8::Local::<v8::String>::try_from(name).is_ok_and(|name| {
        let mut first = [0; PLATFORM.len()];
        name.length() > first.len() && name.is_onebyte() && {
            name.write_one_byte_v2(scope, 0, &mut first, v8::WriteFlags::empty());
            first == *PLATFORM.as_bytes()
        }
    })
}

/// Whether `value` is a function of the platform that is written in JavaScript.
pub(crate) fn is_function_of_platform<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> bool {
    let Ok(function) = v8::Local::<v8::Function>::try_from(value) else { return false };
    let script = function.get_script_origin(scope).resource_name();
    script.is_some_and(|name| begins(scope, name))
}
