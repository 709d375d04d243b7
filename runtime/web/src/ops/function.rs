//! The op behind `Function.prototype.toString`.

use deno_core::{op2, v8};

use crate::stacks;

/// Whether a value is a function of the platform.
#[op2(fast)]
pub(crate) fn op_atoll_is_platform_function<'a>(
    scope: &mut v8::PinScope<'a, '_>,
    value: v8::Local<'a, v8::Value>,
) -> bool {
    stacks::is_function_of_platform(scope, value)
}
