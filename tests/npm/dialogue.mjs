// Says each of the words over a WebSocket of the package `ws`, waits for an answer to each, and closes. Prints the
// answers and the close, one JSON array.
//
//     node dialogue.mjs ws://ADDRESS/PATH HOST WORD...
import WebSocket from "ws";

const [url, host, ...words] = process.argv.slice(2);
const heard = [];
const socket = new WebSocket(url, { headers: { host } });
socket.on("open", () => socket.send(words[0]));
socket.on("message", (data) => {
  heard.push(String(data));
  if (heard.length < words.length) socket.send(words[heard.length]);
  else socket.close(1000, "done");
});
socket.on("close", (code, reason) => console.log(JSON.stringify([...heard, code, String(reason)])));
