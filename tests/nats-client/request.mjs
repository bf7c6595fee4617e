// SPDX-License-Identifier: AGPL-3.0-only
// Publishes one mapping request and prints the reply's data as JSON.
//   node request.mjs NATS_URL CREDS_FILE USER_KEY < request-data.json
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { connect, credsAuthenticator, StringCodec } from "nats";

const [url, creds, user] = process.argv.slice(2);
const text = StringCodec();
const link = await connect({
  servers: url,
  authenticator: credsAuthenticator(readFileSync(creds)),
  inboxPrefix: `_INBOX.${user}`,
  timeout: 5000,
});
const event = {
  specversion: "1.0",
  id: randomUUID(),
  source: "/automation/demo",
  type: "io.marchproxy.request.mapping.v1",
  time: new Date().toISOString(),
  datacontenttype: "application/json",
  data: JSON.parse(readFileSync(0, "utf8")),
};
const reply = await link.request("mp.v1.request.mapping", text.encode(JSON.stringify(event)), { timeout: 20000 });
console.log(JSON.stringify(JSON.parse(text.decode(reply.data)).data));
await link.close();
