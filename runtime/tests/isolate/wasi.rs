//! `atoll:wasi`: commands compiled for WASI preview 1.

use super::*;

/// The command of `examples/wasi`: standard input in upper case, then the files that its arguments name.
const UPPER: &[u8] = include_bytes!("../../../examples/wasi/src/upper.wasm");

async fn run(wasm: &[u8], handler: &str) -> String {
    let code = format!(
        "import {{ WASI }} from 'atoll:wasi'; import wasm from './m.wasm';
         const text = (bytes) => new TextDecoder().decode(bytes);
         export default {{ async fetch(request) {{ {handler} }} }}"
    );
    let modules = [("index.js", ModuleKind::EsModule, code.as_bytes()), ("m.wasm", ModuleKind::Wasm, wasm)];
    let limits = Limits { cpu: Duration::from_secs(10), startup_cpu: Duration::from_secs(10), ..Limits::default() };
    let (isolate, _) = start_with(bundle(&modules), limits);
    ask(&isolate, "/").await
}

#[tokio::test]
async fn a_command_reads_its_input_arguments_and_files() {
    let handler = "const run = async (args, stdin) => {
            const wasi = new WASI({ args, stdin, files: { 'notes/hello.txt': 'hi', '/other': new Uint8Array([104, 111]) } });
            const code = wasi.start(await WebAssembly.instantiate(wasm, wasi.getImportObject()));
            return [code, text(wasi.stdout), text(wasi.stderr)];
        };
        return Response.json([
            await run(['upper'], 'é and a\\n'),
            await run(['upper', 'notes/hello.txt', 'notes/../other'], ''),
            await run(['upper', 'missing'], new Uint8Array([120])),
            await run(['upper', '../other'], ''),
            await run(['upper', 'notes/hello.txt/x'], ''),
        ])";
    let expected = r#"[[0,"é AND A\n",""],[0,"HIHO",""],[44,"X","cannot open missing\n"],[76,"","cannot open ../other\n"],[54,"","cannot open notes/hello.txt/x\n"]]"#;
    assert_eq!(run(UPPER, handler).await, expected);
}

#[tokio::test]
async fn output_can_go_to_functions_and_what_they_throw_comes_out() {
    let handler = "const chunks = [];
        const wasi = new WASI({ args: ['upper'], stdin: 'abc', stdout: (chunk) => chunks.push(text(chunk)) });
        const code = wasi.start(await WebAssembly.instantiate(wasm, wasi.getImportObject()));
        const failing = new WASI({ stdin: 'abc', stdout() { throw new RangeError('full') } });
        const instance = await WebAssembly.instantiate(wasm, failing.getImportObject());
        let message;
        try { failing.start(instance) } catch (error) { message = error.message }
        return Response.json([code, chunks, wasi.stdout, message])";
    assert_eq!(run(UPPER, handler).await, r#"[0,["ABC"],null,"full"]"#);
}

#[tokio::test]
async fn calls_check_what_they_are_given() {
    // The calls themselves, on a memory of one page.
    let handler = "const memory = new WebAssembly.Memory({ initial: 1 });
        const wasi = new WASI({ args: ['a', 'bc'], env: { KEY: 'v' }, stdin: 'xyz', files: { 'd/f': '0123456789', 'd/g': '' } });
        const calls = wasi.getImportObject().wasi_snapshot_preview1;
        wasi.initialize({ exports: { memory } });
        const view = new DataView(memory.buffer);
        const bytes = new Uint8Array(memory.buffer);
        const put = (at, string) => { bytes.set(new TextEncoder().encode(string), at); return string.length };
        const seen = {};
        seen.args = [calls.args_sizes_get(0, 4), view.getUint32(0, true), view.getUint32(4, true)];
        seen.env = [calls.environ_sizes_get(0, 4), view.getUint32(0, true), view.getUint32(4, true)];
        calls.environ_get(0, 100);
        seen.key = text(bytes.slice(100, 106));
        seen.outside = [calls.args_get(65535, 65535), calls.random_get(65530, 100), calls.fd_write(1, 0xfffffff0, 1, 0)];
        seen.bad = [calls.fd_read(99, 0, 0, 0), calls.fd_close(-1), calls.fd_seek(0, 0n, 0, 0), calls.fd_seek(3, 0n, 0, 0)];
        seen.prestat = [calls.fd_prestat_get(3, 0), view.getUint32(4, true), calls.fd_prestat_get(4, 0)];
        const open = (path, flags = 0, rights = 2n) => calls.path_open(3, 0, 200, put(200, path), flags, rights, 0n, 0, 8);
        seen.open = [open('d/f'), view.getUint32(8, true), open('d/none'), open('d/none', 1), open('d/f', 5), open('d/f', 2), open('d/f', 0, 64n), open('/d/f'), open('..')];
        const fd = 4;
        view.setUint32(16, 300, true); view.setUint32(20, 4, true);
        const read = () => [calls.fd_read(fd, 16, 1, 24), text(bytes.slice(300, 300 + view.getUint32(24, true)))];
        seen.read = [read(), calls.fd_seek(fd, -3n, 2, 32), view.getBigUint64(32, true).toString(), read(), read(), calls.fd_seek(fd, -1n, 0, 32)];
        seen.pread = [calls.fd_pread(fd, 16, 1, 5n, 24), text(bytes.slice(300, 304))];
        seen.stat = [calls.path_filestat_get(3, 0, 200, put(200, 'd/f'), 400), bytes[416], view.getBigUint64(432, true).toString()];
        seen.write = [calls.fd_write(fd, 16, 1, 24), calls.path_unlink_file(3, 0, 0), calls.sock_send(0)];
        seen.dir = [open('d', 2), calls.fd_readdir(5, 500, 1000, 0n, 24), view.getUint32(24, true), text(bytes.slice(524, 525)), text(bytes.slice(549, 550))];
        seen.rest = [calls.fd_readdir(5, 500, 30, 1n, 24), view.getUint32(24, true)];
        seen.clock = [calls.clock_time_get(0, 0n, 40), view.getBigUint64(40, true) > 1_700_000_000_000_000_000n, calls.clock_time_get(9, 0n, 40)];
        seen.random = [calls.random_get(1000, 40000), bytes.slice(1000, 41000).some((byte) => byte !== 0)];
        seen.close = [calls.fd_close(fd), calls.fd_close(fd)];
        try { calls.proc_exit(3) } catch (error) { seen.exit = typeof error }
        return Response.json(seen)";
    let seen: serde_json::Value = serde_json::from_str(&run(UPPER, handler).await).unwrap();
    let expected = serde_json::json!({
        "args": [0, 2, 5], "env": [0, 1, 6], "key": "KEY=v\0", "outside": [21, 21, 21], "bad": [8, 8, 70, 31],
        "prestat": [0, 1, 8], "open": [0, 4, 44, 69, 20, 54, 69, 76, 76],
        "read": [[0, "0123"], 0, "7", [0, "789"], [0, ""], 28], "pread": [0, "5678"], "stat": [0, 4, "10"],
        "write": [69, 69, 52], "dir": [0, 0, 50, "f", "g"], "rest": [0, 25], "clock": [0, true, 28],
        "random": [0, true], "close": [0, 8], "exit": "object",
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let handler = "const refused = (f) => { try { f(); return 'nothing' } catch (error) { return error.name } };
        const wasi = new WASI();
        const instance = await WebAssembly.instantiate(wasm, wasi.getImportObject());
        return Response.json([
            refused(() => new WASI(1)), refused(() => new WASI({ args: 1 })), refused(() => new WASI({ args: ['a\\0b'] })),
            refused(() => new WASI({ files: { '../x': '' } })), refused(() => new WASI({ files: { a: '', 'a/b': '' } })),
            refused(() => new WASI({ stdout: 1 })), refused(() => new WASI({ stdin: 1 })),
            refused(() => wasi.getImportObject().wasi_snapshot_preview1.sched_yield()),
            refused(() => wasi.start({})), refused(() => wasi.initialize(instance)), refused(() => wasi.start(instance)),
            refused(() => WASI.prototype.start.call({}, instance)),
        ])";
    let t = "\"TypeError\"";
    // The last use but one is refused because the first, which was refused as well, has bound the memory.
    assert_eq!(run(UPPER, handler).await, format!("[{}]", [t; 12].join(",")));
}
