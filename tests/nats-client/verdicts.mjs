// SPDX-License-Identifier: AGPL-3.0-only
// Prints each verdict that a cluster's proxies tell as a JSON line, as it comes, until it is ended. Says "listening" first.
//   node verdicts.mjs NATS_URL CREDS_FILE USER_KEY [SUBJECT]
import { readFileSync } from "node:fs";
import { connect, credsAuthenticator, StringCodec } from "nats";

const [url, creds, user, subject = "mp.v1.verdict.>"] = process.argv.slice(2);
const text = StringCodec();
const link = await connect({
  servers: url,
  authenticator: credsAuthenticator(readFileSync(creds)),
  inboxPrefix: `_INBOX.${user}`,
  timeout: 5000,
});
const messages = link.subscribe(subject);
await link.flush();
console.log("listening");
for await (const message of messages) {
  const event = JSON.parse(text.decode(message.data));
  console.log(JSON.stringify({ subject: message.subject, source: event.source, ...event.data }));
}
