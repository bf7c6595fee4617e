// SPDX-License-Identifier: AGPL-3.0-only
// Every case of cases.txt three ways: our parsers, llhttp, and a real relay between real sockets. Fails when we do not read
// what the table says, when llhttp reads something else and the table does not say what and why, when it says so and
// llhttp agrees with us, or when what the relay forwards is not what we read.
//   node compare.mjs HTTP1_UNDER_TEST     (with node_modules in the working directory)
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { read } from "./llhttp.mjs";
import { PLAIN, readTable } from "./table.mjs";
import { requestsThrough, responsesThrough } from "./through_relay.mjs";

const FEWEST = 150;
// RFC 9110 6.5.1: what frames, routes or controls a message does not belong behind it.
const NEVER_TRAILERS = /^(transfer-encoding|content-(length|encoding|type|range)|host|connection|keep-alive|te|trailer|upgrade|proxy-.*|authorization|set-cookie|expect|max-forwards|range|cache-control)$/;

const program = process.argv[2];
const { cases, problems } = readTable(join(dirname(fileURLToPath(import.meta.url)), "cases.txt"));
const complain = (one, why) => problems.push(`${one.name} (line ${one.line}): ${why}`);
const anyError = (verdict) => verdict.replace(/refused \w+$/, "refused");
const messages = (verdict) => verdict.split(" | ").slice(0, -1);
const withoutTrailers = (message) => message.replace(/ \+.*/, "");
const last = (verdict) => verdict.split(" | ").at(-1).split(" ")[0];
const count = { forwarded: 0, different: 0 };

function readByUs() {
  const questions = cases.map((one) =>
    [one.method ? `response ${one.method}` : "request", one.bytes(PLAIN).toString("hex")].join(" "));
  const done = spawnSync(program, ["read"], { input: `${questions.join("\n")}\n`, encoding: "utf8" });
  const answers = done.stdout.trimEnd().split("\n");
  if (done.status !== 0 || answers.length !== cases.length) throw new Error(`${program} read: ${done.status} ${done.stderr}`);
  return answers;
}

function compareReading(one, ours) {
  const theirs = read(one.bytes(PLAIN), one.method);
  const differs = anyError(theirs) !== anyError(ours);
  if (ours !== one.ours) complain(one, `we read ${ours}, not ${one.ours}`);
  if (differs) count.different += 1;
  if (differs && theirs !== one.llhttp) complain(one, `llhttp reads ${theirs}; said was ${one.llhttp ?? "nothing"}`);
  if (differs && !one.why) complain(one, "the difference has no reason");
  if (!differs && (one.llhttp || one.why)) complain(one, `llhttp agrees by now: ${theirs}`);
}

/** What the origin has to see of a target that we read. */
function asForwarded(message) {
  const [, method, target, rest] = /^(\S+) (\S+)(.*)$/.exec(withoutTrailers(message));
  const path = target.startsWith(PLAIN.abs) ? target.slice(PLAIN.abs.length) : target;
  if (path === "") return `${method} ${method === "OPTIONS" ? "*" : "/"}${rest}`;
  return `${method} ${path.startsWith("?") ? "/" : ""}${path}${rest}`;
}

async function compareForwarding(one, through) {
  const { seen, errors, trailers, statuses } = await through.ask(one);
  const expected = messages(one.ours).map(asForwarded);
  const refused = last(one.ours) === "refused";
  if (seen.join(" | ") !== expected.join(" | ")) complain(one, `the origin saw ${seen.join(" | ")}`);
  if (!refused && last(one.ours) !== "more" && errors.length > 0) complain(one, `the origin's llhttp says ${errors}`);
  for (const name of trailers) if (NEVER_TRAILERS.test(name)) complain(one, `trailer ${name} was forwarded`);
  const answers = [...expected.map(() => "200"), ...(refused ? ["4xx"] : [])].join();
  const told = statuses.map((status) => (/^(4|505)/.test(status) ? "4xx" : status)).join();
  if (told !== answers) complain(one, `the client was told ${statuses}, not ${answers}`);
}

async function compareAnswering(one, through) {
  const told = read(await through.ask(one), one.method);
  const ours = messages(one.ours);
  const final = ours.findIndex((message) => !message.startsWith("1"));
  if (final >= 0 || (last(one.ours) === "tunnel" && ours.length > 0)) {
    const expected = last(one.ours) === "tunnel" ? /^502 / : ours.slice(0, final + 1).map(withoutTrailers);
    const got = messages(told).map(withoutTrailers);
    const fine = Array.isArray(expected) ? got.join(" | ") === expected.join(" | ") && last(told) === "end" : expected.test(told);
    if (!fine) complain(one, `the client got ${told}`);
  } else if (messages(told).some((message) => !message.startsWith("1") && !message.startsWith("502 "))) {
    complain(one, `the client got a whole answer: ${told}`);
  }
}

const answers = readByUs();
cases.forEach((one, index) => compareReading(one, answers[index]));

const relay = spawn(program, ["relay"], { stdio: ["pipe", "pipe", "inherit"] });
const [port] = await once(createInterface(relay.stdout), "line");
const requests = await requestsThrough(Number(port));
const responses = await responsesThrough(Number(port));
for (const one of cases) {
  // A method that llhttp does not know it does not take from the relay either.
  if (one.llhttp?.endsWith("HPE_INVALID_METHOD") && last(one.ours) !== "refused") continue;
  if (one.method) await compareAnswering(one, responses);
  else if (one.forwardable && last(one.ours) !== "tunnel") await compareForwarding(one, requests);
  else continue;
  count.forwarded += 1;
}
requests.close();
responses.close();
relay.stdin.end();
const [status] = await once(relay, "exit");

if (status !== 0) problems.push(`the relay ended with ${status}`);
if (cases.length < FEWEST) problems.push(`only ${cases.length} cases`);
for (const problem of problems) console.error(problem);
console.log(`${cases.length} cases, ${count.different} differences explained, ${count.forwarded} through a relay, ${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;
