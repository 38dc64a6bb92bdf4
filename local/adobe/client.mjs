// Makes calls with Adobe's client. Standard input: {params, calls: [[function, …arguments], …]}. Standard output: what each returned.
import { text } from "node:stream/consumers";
import { createCommerceWebhooksApiClient } from "@adobe/aio-commerce-lib-webhooks/api";

const { params, calls } = JSON.parse(await text(process.stdin));
const client = createCommerceWebhooksApiClient(params);
const results = [];
for (const [name, ...given] of calls) {
  try {
    results.push({ value: await client[name](...given) });
  } catch (error) {
    const said = await error.response?.json().catch(() => undefined);
    results.push({ error: error.name, message: error.message, status: error.response?.status, said });
  }
}
process.stdout.write(JSON.stringify(results));
