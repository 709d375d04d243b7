// What compatibility flags are about, one case a flag, as it is from a late date on: `docs/compatibility-flags.md` says of each
// that it is here as with the flag.

import { attempt, bytes, chunks, streamOf, utf8 } from "../run.js";

const hasGetter = (prototype, name) => typeof Object.getOwnPropertyDescriptor(prototype, name)?.get === "function";

export default {
  "blob_standard_mime_type": async () => (await new Response("x", { headers: { "content-type": "Text/Plain; Charset=utf-8" } }).blob()).type,
  "capture_async_api_throws": async () => {
    const results = [];
    for (const call of [() => crypto.subtle.digest("absent", bytes()), () => fetch("no url")]) {
      let thrown = false;
      let promise;
      try {
        promise = call();
      } catch {
        thrown = true;
      }
      results.push(thrown, await Promise.resolve(promise).then(() => "given", () => "rejected"));
    }
    return results;
  },
  "crypto_preserve_public_exponent": async () => {
    const n =
      "ybLwhClMjBOZUIhtQmBwhUiuBkMxLl_cclOGzvKiqexaOMrPTL_rfMxV2sgr9VFp63p47x9AeUUUrKm1Xsc7EKVa0XmCxys-4mYdFWT_Swk-mz" +
      "0GEYilFe45evE7YamEorpjVvXDoRx9IcMKmomqRoqTmd_EdHhj0p-aDb2bhNpHqR5gbqvIz9Y844lEiMUIbX80At69MauVsY7beycM85bdxWTB" +
      "8Yn2q0GKciVapyx4dBtvBOkmRmIESIsK6FRkg4BK58MItrj0GrE49fFmrDGNRY8Gi4n3F_SlbaW6MT1HByMvhU9_83jdIJ3wjzkzrNO4gIaXzS" +
      "PJQnERArVIUQ";
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("jwk", { kty: "RSA", n, e: "AQAB" }, algorithm, true, ["verify"]);
    return key.algorithm.publicExponent;
  },
  "formdata_parser_supports_files": async () => {
    const form = new FormData();
    form.append("file", new Blob(["content"], { type: "text/x" }), "name.x");
    const file = (await new Response(form).formData()).get("file");
    return [file instanceof File, file.name, file.type, await file.text()];
  },
  "global_navigator": () => typeof navigator.userAgent,
  "enable_navigator_language": () => [navigator.language, navigator.languages],
  "http_headers_getsetcookie": () => {
    const headers = new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-a", "1"], ["x-a", "2"]]);
    return [headers.getSetCookie(), [...headers]];
  },
  "internal_stream_byob_return_view": async () => {
    const reader = new Response("").body?.getReader({ mode: "byob" }) ?? new Response(streamOf()).body.getReader();
    const { done, value } = await reader.read(new Uint8Array(4));
    return [done, value?.byteLength];
  },
  "no_global_importscripts": () => typeof globalThis.importScripts,
  "response_redirect_url_standard": () => Response.redirect("http://a.example/ä b").headers.get("location"),
  "request_signal": ({ request }) => [request.signal instanceof AbortSignal, request.signal.aborted],
  "set_event_target_this": () => {
    const target = new EventTarget();
    let seen;
    target.addEventListener("x", function () {
      seen = this === target;
    });
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "set_tostring_tag": () => [Request, Response, Headers, URL, ReadableStream, TextEncoder, WebSocket].map((one) => one.prototype[Symbol.toStringTag]),
  "spec_compliant_dispatch_exceptions": () => {
    const target = new EventTarget();
    const seen = [];
    const report = (event) => {
      event.preventDefault();
      seen.push(event.message.includes("of a listener"));
    };
    addEventListener("error", report);
    target.addEventListener("x", () => {
      throw new Error("of a listener");
    });
    target.addEventListener("x", () => seen.push("second"));
    const given = attempt(() => target.dispatchEvent(new Event("x")));
    return new Promise((resolve) => setTimeout(resolve, 5)).then(() => {
      removeEventListener("error", report);
      return [given, seen.filter((one) => one === "second")];
    });
  },
  "streams_enable_constructors": async () => [await chunks(streamOf(bytes(1))), typeof new WritableStream().getWriter],
  "strict_crypto_checks": () => attempt(() => crypto.subtle.importKey("raw", bytes(1, 2), { name: "HMAC", hash: "SHA-256", length: 999 }, false, ["sign"])),
  "strip_bom_in_read_all_text": async () => (await new Response(bytes(0xef, 0xbb, 0xbf, 0x61)).text()).length,
  "text_decoder_cjk_decoder": () => new TextDecoder("gbk").decode(bytes(0xc4, 0xe3)),
  "text_decoder_replace_surrogates": () => new TextDecoder("utf-16le").decode(bytes(0x00, 0xd8, 0x61, 0x00)),
  "transformstream_enable_standard_constructor": async () => {
    const transform = new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk * 2) });
    return await chunks(streamOf(1, 2).pipeThrough(transform));
  },
  "unwrap_custom_thenables": async () => await new Response(new ReadableStream({ pull: (controller) => ({ then(done) { controller.enqueue(utf8("x")); controller.close(); done(); } }) })).text(),
  "upper_case_all_http_methods": () => new Request("http://a.example/", { method: "patch" }).method,
  "url_standard": () => [new URL("http://a.example:80/b/../c?d#e f").href, new URL("HTTP://EXAMPLE.com/%7Efoo").href],
  "urlsearchparams_delete_has_value_arg": () => {
    const params = new URLSearchParams("a=1&a=2&b=3");
    params.delete("a", "1");
    return [String(params), params.has("a", "2"), params.has("a", "9")];
  },
  "web_socket_auto_reply_to_close": async () => {
    const { 0: one, 1: other } = new WebSocketPair();
    one.accept();
    other.accept();
    const closed = new Promise((resolve) => one.addEventListener("close", (event) => resolve([event.code, event.reason, one.readyState])));
    const answered = new Promise((resolve) => other.addEventListener("close", (event) => resolve([event.code, event.reason, other.readyState])));
    other.close(4001, "done");
    return [await closed, await answered];
  },
  "websocket_close_reason_byte_limit": () => {
    const { 0: one } = new WebSocketPair();
    one.accept();
    return attempt(() => one.close(1000, "ä".repeat(62)));
  },
  "websocket_standard_binary_type": () => Object.values(new WebSocketPair()).map((end) => end.binaryType),
  "workers_api_getters_setters_on_prototype": () => [hasGetter(Request.prototype, "url"), hasGetter(Response.prototype, "status"), hasGetter(URL.prototype, "href")],
};
