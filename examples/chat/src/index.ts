const LONGEST = 1000;

const members = new Map<WebSocket, string>();

function tell(text: string) {
  for (const [socket] of members) {
    try {
      socket.send(text);
    } catch {
      // Its close event is on the way.
    }
  }
}

function enter(socket: WebSocket, name: string) {
  socket.accept();
  members.set(socket, name);
  tell(`${name} is here, ${members.size} in the room`);
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string" || data.length > LONGEST) {
      socket.close(1008, `say it in at most ${LONGEST} characters`);
    } else {
      tell(`${name}: ${data}`);
    }
  });
  socket.addEventListener("close", () => {
    members.delete(socket);
    tell(`${name} has left`);
  });
}

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>chat</title>
<form><input name="text" autofocus autocomplete="off"> <button>say</button></form>
<pre></pre>
<script>
  const socket = new WebSocket(location.href.replace("http", "ws") + "room?name=" + (prompt("Your name?") || "somebody"));
  socket.onmessage = ({ data }) => document.querySelector("pre").append(data + "\\n");
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    socket.send(event.target.text.value);
    event.target.reset();
  };
</script>
`;

export default {
  fetch(request: Request): Response {
    const url = new URL(request.url);
    if (url.pathname === "/") {
      return new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8" } });
    }
    if (url.pathname !== "/room") {
      return new Response("not found\n", { status: 404 });
    }
    if (request.headers.get("upgrade") !== "websocket") {
      return new Response("this is a WebSocket\n", { status: 426, headers: { upgrade: "websocket" } });
    }
    const [client, server] = Object.values(new WebSocketPair());
    enter(server, url.searchParams.get("name") || "somebody");
    return new Response(null, { status: 101, webSocket: client });
  },
};
