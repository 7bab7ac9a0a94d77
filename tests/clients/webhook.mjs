// Verifies a message as a receiver does that was written with the library of Standard Webhooks.
// Reads {secret, headers, body} from standard input, prints what it was, or ends with an error.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
console.log(new Webhook(secret).verify(body, headers).type);
