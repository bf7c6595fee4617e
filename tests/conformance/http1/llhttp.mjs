// SPDX-License-Identifier: AGPL-3.0-only
// llhttp, strict, as undici ships it: what it reads in a stream of bytes, in the words of tests/support/http1_reader.hpp.
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/package.json`);
const code = require("undici/lib/llhttp/llhttp-wasm.js");
const REQUEST = 1;
const RESPONSE = 2;
const UPGRADE = 22; // HPE_PAUSED_UPGRADE
const EOF = "HPE_INVALID_EOF_STATE";
const AFTER_CLOSE = "HPE_CLOSED_CONNECTION";

let reading; // one at a time

const bytes = (at, length) => Buffer.from(wasm.memory.buffer, at, length).toString("latin1");
const text = (at) => {
  const all = new Uint8Array(wasm.memory.buffer);
  return bytes(at, all.indexOf(0, at) - at);
};
const does = (action) => (parser, ...rest) => action(...rest) ?? 0;
const wasm = new WebAssembly.Instance(new WebAssembly.Module(code), {
  env: {
    wasm_on_message_begin: does(() => reading.begin()),
    wasm_on_url: does((at, length) => reading.url(bytes(at, length))),
    wasm_on_status: does(() => 0),
    wasm_on_header_field: does((at, length) => reading.name(bytes(at, length))),
    wasm_on_header_value: does((at, length) => reading.value(bytes(at, length))),
    wasm_on_headers_complete: (parser, status) => reading.headers(parser, status),
    wasm_on_body: does((at, length) => reading.part(bytes(at, length))),
    wasm_on_message_complete: does(() => reading.end()),
  },
}).exports;
wasm._initialize();

export function quoted(body) {
  if (body.length > 64) return `<${body.length} bytes>`;
  const hex = (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return `"${body.replace(/[^\x20-\x7e]|["\\]/g, hex)}"`;
}

export const line = (start, body) => start + (body ? ` ${quoted(body)}` : "");

class Reading {
  constructor(method) {
    this.method = method;
    this.messages = [];
  }
  begin() {
    Object.assign(this, { start: "", target: "", body: "", trailers: [], fields: [], behindHead: false });
  }
  url(piece) {
    this.target += piece;
  }
  name(piece) {
    if (this.inName) this.fields.at(-1)[0] += piece;
    else this.fields.push([piece, ""]);
    this.inName = true;
  }
  value(piece) {
    this.fields.at(-1)[1] += piece;
    this.inName = false;
  }
  headers(parser, status) {
    this.start = this.method ? `${status}` : `${text(wasm.llhttp_method_name(wasm.llhttp_get_method(parser)))} ${this.target}`;
    this.tunnels = this.start.startsWith("CONNECT ");
    this.fields = [];
    this.inName = false;
    return this.method === "HEAD" ? 1 : 0;
  }
  part(piece) {
    this.body += piece;
  }
  end() {
    const trailers = this.fields.map(([name, value]) => ` +${name.toLowerCase()}=${quoted(value.trim())}`);
    this.messages.push(line(this.start, this.body) + (trailers.length > 8 ? ` +${trailers.length} trailers` : trailers.join("")));
    this.fields = [];
  }
  says(last) {
    return [...this.messages, last].join(" | ");
  }
}

/** @param method  of the request that is answered; empty: reads requests */
export function read(stream, method) {
  reading = new Reading(method);
  reading.begin();
  const parser = wasm.llhttp_alloc(method ? RESPONSE : REQUEST);
  const block = wasm.malloc(Math.max(stream.length, 1));
  try {
    new Uint8Array(wasm.memory.buffer, block, stream.length).set(stream);
    let at = block;
    const end = block + stream.length;
    let error = wasm.llhttp_execute(parser, at, end - at);
    while (error === UPGRADE) {
      at = wasm.llhttp_get_error_pos(parser);
      const rest = bytes(at, end - at);
      if (method || reading.tunnels) return reading.says(rest ? `tunnel ${quoted(rest)}` : "tunnel");
      // Whoever does not serve the upgrade goes on reading requests.
      wasm.llhttp_resume_after_upgrade(parser);
      error = wasm.llhttp_execute(parser, at, end - at);
    }
    if (error === 0) error = wasm.llhttp_finish(parser);
    if (error === 0) return reading.says("end");
    const name = text(wasm.llhttp_errno_name(error));
    if (name === EOF) return reading.says("more");
    return reading.says(name === AFTER_CLOSE ? "closed" : `refused ${name}`);
  } finally {
    wasm.free(block);
    wasm.llhttp_free(parser);
  }
}
