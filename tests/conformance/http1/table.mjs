// SPDX-License-Identifier: AGPL-3.0-only
// Reads cases.txt, whose head says how it is written.
import { readFileSync } from "node:fs";

const ESCAPES = { r: "\r", n: "\n", t: "\t", "\\": "\\" };

function unescaped(text) {
  return text
    .replace(/\{([^{}]+)\*(\d+)\}/g, (_, part, count) => part.repeat(Number(count)))
    .replace(/\\(x[0-9a-f]{2}|[rnt\\])/g, (_, e) => ESCAPES[e] ?? String.fromCharCode(parseInt(e.slice(1), 16)));
}

/** Where `{at}` and `{abs}` lead: nowhere in particular, or to an origin behind the relay. */
export const PLAIN = { at: "", abs: "http://a.test" };

export function readTable(path) {
  const cases = [];
  const problems = [];
  readFileSync(path, "utf8").split("\n").forEach((text, index) => {
    const here = cases.at(-1);
    const found = /^(==|>|ours:|llhttp:|why:|answer to) ?(.*)$/.exec(text);
    if (!text || text.startsWith("#")) return;
    if (!found) problems.push(`line ${index + 1} is none of the table's`);
    else if (found[1] === "==") cases.push({ name: found[2], line: index + 1, method: "", written: "" });
    else if (found[1] === ">") here.written += found[2];
    else if (found[1] === "answer to") here.method = found[2];
    else here[found[1].slice(0, -1)] = found[2];
  });
  const names = new Set();
  for (const one of cases) {
    if (names.has(one.name)) problems.push(`${one.name} is there twice`);
    names.add(one.name);
    if (!one.written || !one.ours) problems.push(`${one.name} lacks its bytes or what we read`);
    one.forwardable = /\{(at|abs)\}/.test(one.written);
    one.bytes = (where) =>
      Buffer.from(unescaped(one.written.replaceAll("{at}", where.at).replaceAll("{abs}", where.abs)), "latin1");
  }
  return { cases, problems };
}
