// Ends TLS in front of a server on loopback: `node proxy.mjs PORT` prints the port it listens on.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createServer } from "node:tls";

const file = (name) => readFileSync(new URL(name, import.meta.url));
const server = createServer({ key: file("key.pem"), cert: file("cert.pem") }, (client) => {
  const upstream = connect(Number(process.argv[2]), "127.0.0.1");
  client.pipe(upstream).pipe(client);
  client.on("error", () => upstream.destroy());
  upstream.on("error", () => client.destroy());
});
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
