//! `crypto` of the global: a data property, as it is elsewhere, whose value is made when it is first read. A snapshot cannot
//! hold it, and most starts do not need it.

use deno_core::v8;

/// Calls `finish`, which does to the global what cannot be kept in a snapshot and returns what makes its `crypto`.
///
/// # Panics
///
/// When `finish` throws: the snapshot and this program do not belong together then.
pub fn finish(scope: &mut v8::PinScope<'_, '_>, finish: v8::Local<'_, v8::Function>) {
    let this = v8::undefined(scope).into();
    let make = finish.call(scope, this, &[]).expect("what a snapshot cannot hold is added to the global");
    let name = v8::String::new(scope, "crypto").expect("a short string").into();
    let global = scope.get_current_context().global(scope);
    global
        .set_lazy_data_property_with_data(
            scope,
            name,
            crypto,
            make,
            v8::PropertyAttribute::DONT_ENUM,
            v8::SideEffectType::HasSideEffect,
            v8::SideEffectType::HasSideEffect,
        )
        .expect("nobody has touched the global");
}

fn crypto(
    scope: &mut v8::PinScope<'_, '_>,
    _name: v8::Local<'_, v8::Name>,
    arguments: v8::PropertyCallbackArguments<'_>,
    mut returned: v8::ReturnValue<'_, v8::Value>,
) {
    let make = v8::Local::<v8::Function>::try_from(arguments.data()).expect("`finish` returns a function");
    let this = v8::undefined(scope).into();
    if let Some(value) = make.call(scope, this, &[]) {
        returned.set(value);
    }
}
