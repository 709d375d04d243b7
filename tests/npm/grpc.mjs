// A gRPC service, and calls of it through somebody else. Serves on two ports, without and with TLS, and prints them as a
// line of JSON. For every line `{"address", "authority"}` that it reads, it calls the service through that address and
// prints what came of it.
//
//     node grpc.mjs CERT KEY
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import grpc from "@grpc/grpc-js";

const [cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
const raw = (bytes) => bytes;
const method = (name, responseStream) => ({
  path: `/test.Words/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
});
const service = { Reverse: method("Reverse", false), Count: method("Count", true), Wait: method("Wait", true) };

let cancelled = 0;
const server = new grpc.Server();
server.addService(service, {
  Reverse(call, answer) {
    const word = call.request.toString();
    if (word === "") return answer({ code: grpc.status.INVALID_ARGUMENT, details: "no word" });
    const after = new grpc.Metadata();
    after.set("x-length", String(word.length));
    answer(null, Buffer.from([...word].reverse().join("")), after);
  },
  async Count(call) {
    for (let number = 1; number <= Number(call.request.toString()); number++) call.write(Buffer.from(String(number)));
    call.end();
  },
  // Says one thing and then nothing until nobody listens.
  Wait(call) {
    call.on("cancelled", () => cancelled++);
    call.write(Buffer.from("waits"));
  },
});
const bind = (credentials) =>
  new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port))),
  );
const plain = await bind(grpc.ServerCredentials.createInsecure());
const secure = await bind(grpc.ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: cert }]));
console.log(JSON.stringify({ plain, secure }));

async function call({ address, authority }) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), { "grpc.default_authority": authority });
  const reverse = (word, options = {}) =>
    new Promise((resolve) => {
      const seen = {};
      const call = client.makeUnaryRequest(
        service.Reverse.path, raw, raw, Buffer.from(word), new grpc.Metadata(), options,
        (error, answer) => {
          seen.answer = answer?.toString();
          seen.details = error?.details;
        },
      );
      call.on("status", (status) => resolve({ ...seen, code: status.code, length: status.metadata.get("x-length")[0] }));
    });
  const stream = (path, argument, options, each = () => {}) =>
    new Promise((resolve) => {
      const parts = [];
      const call = client.makeServerStreamRequest(path, raw, raw, Buffer.from(argument), new grpc.Metadata(), options);
      call.on("data", (part) => {
        parts.push(part.toString());
        each(call);
      });
      call.on("error", () => {});
      call.on("status", ({ code }) => resolve({ parts, code }));
    });
  const before = cancelled;
  const result = {
    reversed: await reverse("hello"),
    refused: await reverse(""),
    counted: await stream(service.Count.path, "100", {}),
    // The deadline and the cancellation reach the service.
    late: await stream(service.Wait.path, "", { deadline: Date.now() + 4000 }),
    dropped: await stream(service.Wait.path, "", {}, (call) => call.cancel()),
  };
  const end = Date.now() + 100_000;
  while (cancelled < before + 2 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  result.cancelled = cancelled - before;
  client.close();
  return result;
}

for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await call(JSON.parse(line))));
server.forceShutdown();
