//! What compatibility dates and flags change of what code sees.

use super::*;

const CODE: &str = "import { exports } from 'cloudflare:workers';
    const early = new Request('http://a/', { method: 'patch' }).method;
    export default { async fetch(request, env, ctx) {
      const { 0: one, 1: other } = new WebSocketPair();
      return Response.json([
        early, new Request('http://a/', { method: 'Patch' }).method, one.binaryType, other.binaryType,
        Object.keys(ctx.exports ?? { none: 1 }), Object.keys(exports), typeof process, typeof (await import('node:process')).default,
        typeof setTimeout(() => {}, 0), setTimeout === (await import('node:timers')).setTimeout,
      ]);
    } };";

async fn seen(date: &str, flags: &[&str]) -> String {
    let mut bundle = Arc::unwrap_or_clone(bundle(&[("index.js", ModuleKind::EsModule, CODE.as_bytes())]));
    bundle.compatibility_date = date.to_owned();
    bundle.compatibility_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let (isolate, _) = start_with(Arc::new(bundle), patient());
    ask(&isolate, "/").await
}

#[tokio::test]
async fn dates_and_flags_decide_what_code_sees() {
    let old = r#"["patch","Patch","arraybuffer","arraybuffer",["none"],[],"object","object","number",false]"#;
    let new = r#"["PATCH","PATCH","blob","blob",["default"],["default"],"object","object","object",true]"#;
    assert_eq!(seen("2024-01-01", &["nodejs_compat"]).await, old);
    assert_eq!(seen("2026-11-01", &[]).await, new);
    let flags = [
        "disable_ctx_exports",
        "no_nodejs_compat_v2",
        "no_nodejs_global_timers",
        "no_upper_case_all_http_methods",
        "no_websocket_standard_binary_type",
    ];
    assert_eq!(seen("2026-11-01", &flags).await, old.replacen("object", "undefined", 1));
    let flags = [
        "enable_ctx_exports",
        "enable_nodejs_global_timers",
        "nodejs_compat",
        "upper_case_all_http_methods",
        "websocket_standard_binary_type",
    ];
    assert_eq!(seen("2024-01-01", &flags).await, new);
}
