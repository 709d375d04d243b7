// Two people in the chat of examples/chat, by the package `ws`. Prints what the first one heard, one JSON array.
import WebSocket from "ws";

const [base] = process.argv.slice(2);
const heard = [];

const join = (name) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${base}/room?name=${name}`, { headers: { host: "chat.localhost" } });
    socket.heard = (wanted) =>
      new Promise((found) => {
        const look = (data) => {
          if (String(data) === wanted) {
            socket.off("message", look);
            found();
          }
        };
        socket.on("message", look);
      });
    socket.on("error", reject);
    socket.on("message", (data) => name === "Ada" && heard.push(String(data)));
    socket.on("open", () => resolve(socket));
  });

const ada = await join("Ada");
const twoAreHere = ada.heard("Bob is here, 2 in the room");
const bob = await join("Bob");
await twoAreHere;
const answered = ada.heard("Bob: hello Ada");
bob.send("hello Ada");
await answered;
const ponged = new Promise((resolve) => bob.on("pong", (data) => resolve(String(data))));
bob.ping("still there?");
heard.push(await ponged);
const left = ada.heard("Bob has left");
bob.close(4000, "good night");
await left;
const closed = new Promise((resolve) => ada.on("close", (code, reason) => resolve([code, String(reason)])));
ada.send("x".repeat(1001));
heard.push(await closed);
console.log(JSON.stringify(heard.slice(1)));
