// SPDX-License-Identifier: AGPL-3.0-only
// Sends frames of seeded sizes and bytes through a proxy to an echo server and compares each that comes back, byte by byte.
//   node client.mjs forward|connect PROXY_PORT TARGET_PORT FRAMES SEED   (with node_modules in the working directory)
import http from "node:http";
import net from "node:net";
import { createRequire } from "node:module";
import { once } from "node:events";

const { WebSocket } = createRequire(`${process.cwd()}/package.json`)("ws");
const [way, proxyPort, targetPort, frames, seed] = process.argv.slice(2);
const target = `127.0.0.1:${targetPort}`;
const proxy = { host: "127.0.0.1", port: Number(proxyPort) };
const IN_FLIGHT = 4 << 20; // bytes sent and not yet back
// Where the length of a frame changes its form, and around blocks of a relay.
const EDGES = [0, 1, 125, 126, 127, 4095, 4096, 16383, 32767, 32768, 32769, 65535, 65536, 65537, 200000];

/** xorshift32: the same frames for the same seed. */
function* random(state) {
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

const numbers = random(Number(seed) || 1);
const next = () => numbers.next().value;
const pool = Buffer.alloc(1 << 20);
for (let at = 0; at < pool.length; at += 4) pool.writeUInt32LE(next(), at);

function frame(index) {
  const size = index % 50 === 0 ? EDGES[next() % EDGES.length] : next() % 3000;
  const from = next() % (pool.length - size);
  return pool.subarray(from, from + size);
}

/** CONNECT first, or the target in absolute form with the Upgrade. */
async function options() {
  if (way === "forward")
    return {
      createConnection: () => net.connect(proxy),
      finishRequest: (request) => {
        request.path = `http://${target}${request.path}`;
        request.end();
      },
    };
  const asking = http.request({ ...proxy, method: "CONNECT", path: target });
  asking.end();
  const [answer, socket] = await once(asking, "connect");
  if (answer.statusCode !== 200) throw new Error(`CONNECT: ${answer.statusCode}`);
  return { createConnection: () => socket };
}

const link = new WebSocket(`ws://${target}/echo`, { perMessageDeflate: false, maxPayload: 1 << 24, ...(await options()) });
await once(link, "open");
const waiting = [];
let [sent, back, inFlight, bytes] = [0, 0, 0, 0];
const fill = () => {
  while (sent < Number(frames) && inFlight < IN_FLIGHT) {
    const data = frame(sent++);
    waiting.push(data);
    inFlight += data.length;
    link.send(data, { binary: true });
  }
};
link.on("message", (data) => {
  const expected = waiting.shift();
  if (!expected || !expected.equals(data)) throw new Error(`frame ${back} came back changed`);
  back += 1;
  inFlight -= expected.length;
  bytes += expected.length;
  if (back === Number(frames)) link.close(1000, "done");
  else fill();
});
fill();
const [code] = await once(link, "close");
if (back !== Number(frames) || code !== 1000) throw new Error(`${back} frames came back, closed with ${code}`);
console.log(JSON.stringify({ frames: back, bytes }));
