// SPDX-License-Identifier: AGPL-3.0-only
// Sends cases through a real relay: requests to an origin that is Node.js's own HTTP server (llhttp again, the machine's),
// responses from an origin that says just those bytes.
import http from "node:http";
import net from "node:net";
import { once } from "node:events";
import { line } from "./llhttp.mjs";

const LOOPBACK = "127.0.0.1";

// events.once() would take an error, such as a reset, for a failure of its own.
const closed = (socket) => new Promise((resolve) => socket.once("close", resolve));

/** Everything a peer says until it closes. A reset ends it too. */
function collect(socket) {
  const parts = [];
  socket.on("data", (part) => parts.push(part));
  socket.on("error", () => {});
  return closed(socket).then(() => Buffer.concat(parts));
}

async function ask(relayPort, bytes) {
  const client = net.connect(relayPort, LOOPBACK);
  const all = collect(client);
  client.end(bytes);
  return all;
}

/** @return where the server is, and quiet(), which waits until nobody is connected to it */
async function listen(server) {
  const connections = new Set();
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  const url = `http://${LOOPBACK}:${server.address().port}`;
  const quiet = async () => {
    while (connections.size > 0) await closed([...connections][0]);
  };
  return { where: { at: url, abs: url }, quiet };
}

/** Forwards requests; ask() tells what the origin read and what the client was told. */
export async function requestsThrough(relayPort) {
  let seen;
  let errors;
  let trailers;
  const serve = (request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("error", () => {});
    request.on("end", () => {
      seen.push(line(`${request.method} ${request.url}`, Buffer.concat(parts).toString("latin1")));
      trailers.push(...Object.keys(request.trailers));
      response.end("seen");
    });
  };
  const origin = http.createServer(serve).on("checkContinue", serve).on("checkExpectation", serve);
  origin.on("clientError", (error, socket) => {
    errors.push(error.code);
    socket.destroy();
  });
  const { where, quiet } = await listen(origin);
  return {
    async ask(one) {
      [seen, errors, trailers] = [[], [], []];
      const told = await ask(relayPort, one.bytes(where));
      await quiet();
      return { seen, errors, trailers, statuses: [...told.toString("latin1").matchAll(/HTTP\/1\.1 (\d{3})/g)].map((m) => m[1]) };
    },
    close: () => origin.close(),
  };
}

/** Forwards responses; ask() gives the bytes that the client got. */
export async function responsesThrough(relayPort) {
  let answer;
  const origin = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(answer));
  });
  const { where, quiet } = await listen(origin);
  return {
    async ask(one) {
      answer = one.bytes(where);
      const told = await ask(relayPort, `${one.method} ${where.abs}/ HTTP/1.1\r\nHost: a.test\r\n\r\n`);
      await quiet();
      return told;
    },
    close: () => origin.close(),
  };
}
