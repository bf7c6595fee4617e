// SPDX-License-Identifier: AGPL-3.0-only
// Asks PAC files as a browser does. stdin: lines of JSON, {"script": text} or {"url", "host"}, which asks the last script.
// stdout: an answer a question, a line each.
import { createInterface } from "node:readline";
import { Script, createContext } from "node:vm";

let ask = null;
const out = [];
for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  if (said.script !== undefined) {
    const context = createContext({}); // nothing of Node.js is there, as in a browser's sandbox
    new Script(said.script).runInContext(context);
    ask = (url, host) => context.FindProxyForURL(url, host);
  } else {
    out.push(ask(said.url, said.host));
  }
}
process.stdout.write(out.map((answer) => `${answer}\n`).join(""));
