// SPDX-License-Identifier: AGPL-3.0-only
// Sends every message back as it came. Says its port; runs until it is killed.
//   node server.mjs      (with node_modules in the working directory)
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(`${process.cwd()}/package.json`)("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, maxPayload: 1 << 24 });
server.on("connection", (link) => {
  link.on("message", (data, isBinary) => link.send(data, { binary: isBinary }));
  link.on("error", (problem) => console.error(problem.message));
});
server.on("listening", () => console.log(`listening on ${server.address().port}`));
