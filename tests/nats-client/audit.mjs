// SPDX-License-Identifier: AGPL-3.0-only
// Reads the AUDIT stream from its beginning through the pull consumer of the SIEM's name and prints each record as a
// JSON line. Plain NATS: a request to the consumer, messages, acknowledgements.
//   node audit.mjs NATS_URL CREDS_FILE USER_KEY CONSUMER
import { readFileSync } from "node:fs";
import { connect, createInbox, credsAuthenticator, StringCodec } from "nats";

const [url, creds, user, consumer] = process.argv.slice(2);
const text = StringCodec();
const link = await connect({
  servers: url,
  authenticator: credsAuthenticator(readFileSync(creds)),
  inboxPrefix: `_INBOX.${user}`,
  timeout: 5000,
});
for (let more = true; more; ) {
  const inbox = createInbox(`_INBOX.${user}`);
  const messages = link.subscribe(inbox);
  link.publish(
    `$JS.API.CONSUMER.MSG.NEXT.AUDIT.${consumer}`,
    text.encode(JSON.stringify({ batch: 200, expires: 1_000_000_000 })),
    { reply: inbox },
  );
  let count = 0;
  for await (const message of messages) {
    const status = message.headers?.code ?? 0;
    if (status) break; // 404 or 408: nothing more at the moment
    console.log(JSON.stringify(JSON.parse(text.decode(message.data)).data));
    message.respond(text.encode("+ACK"));
    count += 1;
    if (count === 200) break;
  }
  messages.unsubscribe();
  more = count === 200;
}
await link.drain();
