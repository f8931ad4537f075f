// A GraphQL server as people run it: the packages `graphql-ws` and `ws`, steered by JSON lines like the others.
// Commands: `order` (of `id` and `total`, to every subscription), `complete` (ends them), `ping` (of the sub-protocol),
// `drop`, `revoke` (the token is refused from now on, and every connection closed).

"use strict";
const { createInterface } = require("node:readline");
const { WebSocketServer } = require("ws");
const { buildSchema } = require("graphql");
const { useServer } = require("graphql-ws/use/ws");

const tell = (event, fields) => console.log(JSON.stringify({ event, at: Date.now() / 1000, ...fields }));

// Who waits for the next order; a subscription is an async iterator over them.
let waiting = [];
const next = () => new Promise((resolve) => waiting.push(resolve));
const publish = (order) => { const all = waiting; waiting = []; all.forEach((resolve) => resolve(order)); };
async function* orders() {
  tell("subscribed", {});
  for (let order = await next(); order; order = await next()) yield { orderPlaced: order };
}

let token = "shop-token";
const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/graphql" });
const sockets = new Map();
server.on("connection", (socket, request) => {
  const connection = sockets.size + 1;
  sockets.set(connection, socket);
  const headers = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) headers.push(request.rawHeaders.slice(i, i + 2));
  tell("accepted", { connection, path: request.url, headers, subprotocol: socket.protocol });
  socket.on("close", (code) => tell("closed", { connection, code }));
});
useServer({
  schema: buildSchema("type Order { id: ID! total: Float! } type Query { ok: Boolean } type Subscription { orderPlaced: Order! }"),
  roots: { subscription: { orderPlaced: orders } },
  onConnect: ({ connectionParams }) => connectionParams?.token === token,
  onPong: () => tell("pong", {}),
}, server);

const commands = {
  order: ({ order }) => publish(order),
  complete: () => publish(null),
  ping: () => { for (const socket of sockets.values()) if (socket.readyState === 1) socket.send('{"type":"ping"}'); },
  drop: () => { for (const socket of sockets.values()) socket.terminate(); },
  revoke: () => { token = null; commands.drop(); },
};
server.on("listening", () => tell("listening", { port: server.address().port }));
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { id, do: name, ...fields } = JSON.parse(line);
  commands[name](fields);
  tell("done", { id });
});
lines.on("close", () => process.exit(0));
