//! `node:http`: servers as handlers, and requests.

use serde_json::json;

use super::{Body, StreamExt, ask, get, start_flagged};

const SERVER: &str = r#"
    import http from "node:http";
    import { Readable } from "node:stream";
    import { handleAsNodeRequest, httpServerHandler } from "cloudflare:node";
    const says = (call) => { try { return call() } catch (error) { return `${error.code}: ${error.message}` } };
    const server = http.createServer((request, response) => {
        const { pathname, search } = new URL(request.url, "http://x");
        if (pathname === "/echo") {
            let text = "";
            request.setEncoding("utf8").on("data", (piece) => text += piece).on("end", () => {
                response.writeHead(201, "Made", { "X-A": ["1", "2"], "Set-Cookie": ["a=1", "b=2"], connection: "close" });
                response.end(JSON.stringify([request.method, search, text, request.headers.host, request.complete]));
            });
        } else if (pathname === "/pipe") {
            Readable.from(["a", "b", "c"]).pipe(response);
        } else if (pathname === "/large") {
            // Without anybody who reads there is no second piece.
            const piece = Buffer.alloc(65536, "x");
            let left = 40;
            const more = () => { while (left-- > 0) if (!response.write(piece)) return response.once("drain", more); response.end(); };
            more();
        } else if (pathname === "/headers") {
            response.setHeader("A", "1").appendHeader("a", "2").setHeader("b", 3);
            response.removeHeader("B");
            const answers = [
                response.getHeaders(), response.getHeaderNames(), response.hasHeader("b"), response.headersSent,
                says(() => response.setHeader("c d", "1")), says(() => response.setHeader("c", "\n")),
                says(() => response.writeHead(99)), says(() => response.write(null)),
            ];
            response.flushHeaders();
            response.end(JSON.stringify([...answers, response.headersSent, says(() => response.setHeader("c", "1"))]));
        } else if (pathname === "/status") {
            response.statusCode = Number(search.slice(1));
            response.end("text");
        } else if (pathname === "/destroyed") {
            response.destroy(new Error("no more"));
        } else if (pathname === "/broken") {
            response.write("some");
            setTimeout(() => response.destroy(), 1);
        } else if (pathname === "/thrown") {
            throw new RangeError("thrown");
        }
    });
    server.listen(9000);
    const port = new http.Server().listen().address().port;
    const handler = httpServerHandler({ port: 9000 });
    const paths = {
        "/text": async (request, path, init) => {
            const answer = await handler.fetch(new Request(`http://app.test${path}`, init));
            return [answer.status, answer.statusText, [...answer.headers].filter(([name]) => name !== "date"), await answer.text()];
        },
        "/failed": async (request, path) => {
            const answer = await handler.fetch(new Request(`http://app.test${path}`)).catch((error) => error);
            return answer instanceof Error ? answer.message : await answer.text().catch((error) => error.message);
        },
        "/ports": async (request) => {
            const twice = new http.Server().on("error", (error) => twice.code = error.code).listen(9000);
            await handleAsNodeRequest(1, request).catch((error) => twice.says = error.message);
            const later = httpServerHandler(http.createServer((request, response) => response.end("later")));
            return [
                port > 1024, twice.code, twice.says.startsWith("No server of node:http listens on port 1;"),
                await (await later.fetch(request)).text(), says(() => server.listen(9001)), says(() => httpServerHandler({})),
                says(() => new http.Server().listen(70000)), server.address(), http.createServer().address(),
            ];
        },
    };
    export default { async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        const init = JSON.parse(searchParams.get("init") ?? "{}");
        return Response.json(await paths[pathname](request, searchParams.get("path"), init));
    } };
"#;

#[tokio::test]
async fn servers_answer_what_handlers_hand_them() {
    let (isolate, _) = start_flagged(&["nodejs_compat"], SERVER, &[]);
    let asked =
        async |path: &str| -> serde_json::Value { serde_json::from_str(&ask(&isolate, path).await).expect("JSON") };
    let post = "&init=%7B%22method%22:%22POST%22,%22body%22:%22%C3%BC%22%7D";
    let echoed = asked(&format!("/text?path=/echo%3Fq{post}")).await;
    let headers = json!([["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-a", "1, 2"]]);
    assert_eq!(echoed, json!([201, "Made", headers, r#"["POST","?q","ü","app.test",true]"#]));
    assert_eq!(asked("/text?path=/pipe").await[3], "abc");
    assert_eq!(asked("/text?path=/large").await[3].as_str().unwrap().len(), 40 * 65536);
    assert_eq!(asked("/text?path=/status%3F204").await, json!([204, "", [], ""]));
    assert_eq!(asked("/text?path=/status%3F200&init=%7B%22method%22:%22HEAD%22%7D").await[3], "");
    let headers: serde_json::Value =
        serde_json::from_str(asked("/text?path=/headers").await[3].as_str().unwrap()).expect("JSON");
    let expected = json!([
        { "a": ["1", "2"] }, ["a"], false, false,
        "ERR_INVALID_HTTP_TOKEN: Header name must be a valid HTTP token [\"c d\"]",
        "ERR_INVALID_CHAR: Invalid character in header content [\"c\"]",
        "ERR_HTTP_INVALID_STATUS_CODE: Invalid status code: 99",
        "ERR_STREAM_NULL_VALUES: May not write null values to stream",
        true,
        "ERR_HTTP_HEADERS_SENT: Cannot set headers after they are sent to the client",
    ]);
    assert_eq!(headers, expected);
    assert_eq!(asked("/failed?path=/destroyed").await, "no more");
    assert_eq!(asked("/failed?path=/broken").await, "The response was destroyed before it was complete");
    assert_eq!(asked("/failed?path=/thrown").await, "thrown");
    let expected = json!([
        true, "EADDRINUSE", true, "later",
        "ERR_SERVER_ALREADY_LISTEN: Listen method has been called more than once without closing.",
        "ERR_INVALID_ARG_TYPE: The \"port\" argument must be of type number. Received undefined",
        "ERR_SOCKET_BAD_PORT: options.port should be >= 0 and < 65536. Received 70000.",
        { "address": "127.0.0.1", "family": "IPv4", "port": 9000 }, null,
    ]);
    assert_eq!(asked("/ports").await, expected);
}

#[tokio::test]
async fn requests_that_cannot_be_sent_say_why() {
    let code = r#"
        import http from "node:http";
        import https from "node:https";
        // The platform's own `fetch` sends them, whatever a package puts in its place.
        globalThis.fetch = () => { throw new Error("replaced"); };
        const events = (start) => new Promise((resolve) => {
            const seen = [];
            try {
                const request = start();
                request.on("error", (error) => seen.push(error instanceof Error ? "error" : "nothing"));
                for (const name of ["abort", "finish", "response", "socket", "timeout"]) request.on(name, () => seen.push(name));
                request.on("close", () => resolve(seen));
            } catch (error) {
                resolve(`${error.code}: ${error.message}`);
            }
        });
        export default { async fetch() { return Response.json([
            await events(() => http.get("http://x.test/")),
            await events(() => https.request({ host: "x.test", method: "POST" }).end("body")),
            await events(() => { const request = http.get("http://x.test/"); request.abort(); return request; }),
            await events(() => http.request("http://x.test/", { signal: AbortSignal.abort() })),
            await events(() => http.request({ host: "x.test", timeout: 1 }).on("timeout", function () { this.destroy(); })),
            await events(() => http.get("ftp://x.test/")), await events(() => http.get({ path: "/a b" })),
            await events(() => http.request({ method: "B AD" })), await events(() => http.request("not a URL")),
            ((request) => [request.getHeaders(), request.method, request.path, request.protocol])(
                https.request("https://u:p@x.test:8443/p?q", { method: "put", headers: { "X-One": 1 } })),
        ]) } }"#;
    let (isolate, _) = start_flagged(&["nodejs_compat"], code, &[]);
    let got: serde_json::Value = serde_json::from_str(&ask(&isolate, "/").await).expect("JSON");
    let expected = json!([
        ["socket", "finish", "error"],
        ["socket", "finish", "error"],
        ["finish", "abort", "error"],
        ["error"],
        ["socket", "timeout", "error"],
        "ERR_INVALID_PROTOCOL: Protocol \"ftp:\" not supported. Expected \"http:\"",
        "ERR_UNESCAPED_CHARACTERS: Request path contains unescaped characters",
        "ERR_INVALID_HTTP_TOKEN: Method must be a valid HTTP token [\"B AD\"]",
        "ERR_INVALID_URL: Invalid URL",
        [{ "x-one": 1, "host": "x.test:8443", "authorization": "Basic dTpw" }, "PUT", "/p?q", "https:"],
    ]);
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_response() {
    let code = r#"
        import http from "node:http";
        import { httpServerHandler } from "cloudflare:node";
        export default httpServerHandler(http.createServer((request, response) => {
            response.on("close", () => console.log(`closed ${response.writableFinished}`));
            response.write("some");
        }));"#;
    let (isolate, host) = start_flagged(&["nodejs_compat"], code, &[]);
    let response = isolate.fetch(get("/")).await.expect("an answer");
    let Body::Stream { mut stream, .. } = response.body else { panic!("a stream") };
    assert_eq!(stream.next().await.expect("a piece").expect("bytes"), "some");
    drop(stream);
    while !host.text().contains("closed false") {
        tokio::task::yield_now().await;
    }
}
