// WebSockets to other hosts: the constructor of the WebSockets standard in all three, and `fetch` with `Upgrade`, which only
// Workers have.

import { attempt, attempts, bytes, descriptor, hex } from "../run.js";

const at = (origin, path) => `${origin.replace("http", "ws")}/socket/${path}`;

// What a socket tells until it is closed; `on` may answer each event.
function heard(socket, on = () => {}) {
  const seen = [];
  socket.binaryType = "arraybuffer";
  return new Promise((resolve) => {
    const note = (entry, event) => {
      seen.push(entry);
      on(socket, entry, event);
    };
    socket.addEventListener("open", (event) => note(["open", socket.readyState], event));
    socket.addEventListener("message", (event) => note(["message", typeof event.data === "string" ? event.data : hex(event.data)], event));
    socket.addEventListener("error", () => seen.push(["error"]));
    socket.addEventListener("close", ({ code, reason, wasClean }) => {
      seen.push(["close", code, reason, wasClean, socket.readyState]);
      resolve(seen);
    });
  });
}

const upgrade = (origin, path, headers = {}) => fetch(`${origin}/socket/${path}`, { headers: { Upgrade: "websocket", ...headers } });

export default {
  "text and bytes come back": ({ origin }) => heard(new WebSocket(at(origin, "echo")), (socket, [type, value]) => {
    if (type === "open") socket.send("text");
    else if (value === "text") socket.send(bytes(1, 2, 3));
    else socket.close(4000, "enough");
  }),
  "an ArrayBuffer, a view and an empty message": ({ origin }) => heard(new WebSocket(at(origin, "echo")), (socket, [type, value]) => {
    if (type === "open") {
      socket.send(bytes(1, 2).buffer);
      socket.send(new DataView(bytes(1, 2, 3, 4).buffer, 1, 2));
      socket.send("");
    } else if (value === "") socket.close(1000);
  }),
  "lone surrogates are replaced": ({ origin }) => heard(new WebSocket(at(origin, "echo")), (socket, [type]) => {
    if (type === "open") socket.send("a\ud800b");
    else socket.close(1000);
  }),
  "the order of messages": ({ origin }) => heard(new WebSocket(at(origin, "echo")), (socket, [type, value]) => {
    if (type === "open") for (let i = 0; i < 20; i++) socket.send(`${i}`);
    else if (value === "19") socket.close(1000);
  }),
  "the server speaks first": ({ origin }) => heard(new WebSocket(at(origin, "says"))),
  "the server closes": ({ origin }) => heard(new WebSocket(at(origin, "echo")), (socket, [type]) => {
    if (type === "open") socket.send("close");
  }),
  "the connection breaks": async ({ origin }) => (await heard(new WebSocket(at(origin, "echo")), (socket, [type]) => {
    if (type === "open") socket.send("break");
  })).at(-1),
  "a server that refuses": async ({ origin }) => (await heard(new WebSocket(at(origin, "refused")))).at(-1),
  "a port where nobody listens": async () => (await heard(new WebSocket("ws://127.0.0.1:1/"))).at(-1).slice(0, 2),
  "close while connecting": async ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    const seen = heard(socket);
    socket.close();
    const state = socket.readyState;
    return [state, (await seen).at(-1)];
  },
  "send while connecting": ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    const outcome = attempt(() => socket.send("early"));
    socket.close();
    return outcome;
  },
  "send after close": async ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    await heard(socket, (_, [type]) => {
      if (type === "open") socket.close(1000);
    });
    return [attempt(() => socket.send("abc")), socket.bufferedAmount];
  },
  "close twice": ({ origin }) => heard(new WebSocket(at(origin, "echo")), (socket, [type]) => {
    if (type !== "open") return;
    socket.close(4001, "first");
    socket.close(4002, "second");
  }),
  "close without a code": async ({ origin }) => (await heard(new WebSocket(at(origin, "echo")), (socket, [type]) => {
    if (type === "open") socket.close();
  })).at(-1),
  "codes and reasons that cannot be": async ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    const over = heard(socket);
    const outcomes = await attempts(
      ...[0, 999, 1001, 1005, 1006, 1015, 2999, 5000, "x"].map((code) => () => socket.close(code)),
      () => socket.close(1000, "x".repeat(124)),
      () => socket.close(3000, "é".repeat(62)),
    );
    socket.close();
    await over;
    return outcomes;
  },
  "URLs": () => attempts(
    () => new WebSocket(),
    () => new WebSocket("not a URL"),
    () => new WebSocket("ftp://a.example/"),
    () => new WebSocket("ws://a.example/#part"),
    () => new WebSocket("/relative"),
  ),
  "the URL that it has": ({ origin }) => [at(origin, "echo"), `${origin}/socket/echo`].map((url) => {
    const socket = new WebSocket(url);
    heard(socket);
    socket.close();
    return socket.url.replace(/:\d+/, "");
  }),
  "protocols that cannot be": ({ origin }) => attempts(
    ...["", "a b", "a,b", ["a", "a"], ["a", "A"], "é", [""], ["a", "\0"]].map((protocols) => () => {
      const socket = new WebSocket(at(origin, "echo"), protocols);
      heard(socket);
      socket.close();
      return socket.protocol;
    }),
  ),
  "a protocol is agreed on": async ({ origin }) => {
    const socket = new WebSocket(at(origin, "chosen"), ["first", "second"]);
    const before = socket.protocol;
    await heard(socket, (_, [type]) => {
      if (type === "open") socket.close(1000);
    });
    return [before, socket.protocol, socket.extensions];
  },
  "event handlers": async ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    const seen = [];
    await new Promise((resolve) => {
      socket.onopen = ({ type, target }) => {
        seen.push(type, target === socket);
        socket.send("x");
      };
      socket.onmessage = ({ type, data, origin: from }) => {
        seen.push(type, data, `${from}`.replace(/:\d+/, ""));
        socket.close(1000, "bye");
      };
      socket.onclose = (event) => {
        seen.push(event.type, event instanceof CloseEvent, event.reason);
        resolve();
      };
    });
    return seen;
  },
  "binaryType": ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    heard(socket);
    const seen = ["blob", "arraybuffer"].map((type) => {
      socket.binaryType = type;
      return socket.binaryType;
    });
    socket.close();
    return seen;
  },
  "blobs": async ({ origin }) => {
    const socket = new WebSocket(at(origin, "echo"));
    const seen = [];
    await heard(socket, (_, [type], { data }) => {
      if (type === "open") {
        socket.binaryType = "blob";
        socket.send(bytes(104, 105));
      } else {
        seen.push(data instanceof Blob, data.text?.());
        socket.close(1000);
      }
    });
    return Promise.all(seen);
  },
  "constants": () => [WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED, WebSocket.prototype.OPEN, descriptor(WebSocket, "OPEN")],
  "on something else": () => attempts(() => WebSocket.prototype.send.call({}, "x"), () => WebSocket.prototype.close.call({}), () => WebSocket("ws://a.example")),
  "fetch with Upgrade": async ({ origin }) => {
    const response = await upgrade(origin, "echo");
    const socket = response.webSocket;
    const shape = [response.status, response.ok, response.body, socket instanceof WebSocket];
    const over = heard(socket, (_, [type, value]) => {
      if (value === "x") socket.close(4005, "enough");
    });
    socket.accept();
    socket.send("x");
    return [shape, await over];
  },
  "fetch with Upgrade that is refused": async ({ origin }) => {
    const response = await upgrade(origin, "refused");
    return [response.status, response.webSocket, await response.text()];
  },
  "fetch with Upgrade and a protocol": async ({ origin }) => {
    const response = await upgrade(origin, "chosen", { "sec-websocket-protocol": "first, second" });
    response.webSocket.accept();
    response.webSocket.close(1000);
    return [response.headers.get("sec-websocket-protocol"), response.webSocket.protocol];
  },
  "fetch of a WebSocket without Upgrade": async ({ origin }) => {
    const response = await fetch(`${origin}/socket/echo`);
    return [response.status, response.webSocket];
  },
  "fetch with Upgrade of a URL of WebSockets": ({ origin }) => attempt(async () => (await fetch(at(origin, "echo"), { headers: { Upgrade: "websocket" } })).status),
};
