// Reads answers with Adobe's helpers. Standard input: [[status, body], …]. Standard output, for each: whether they recognise it, whether
// they count it as a success, and whether Adobe's builders make the same.
import { text } from "node:stream/consumers";
import { isDeepStrictEqual } from "node:util";
import * as adobe from "@adobe/aio-commerce-lib-webhooks/responses";

const build = {
  success: () => adobe.successOperation(),
  exception: ({ message, type }) => adobe.exceptionOperation(message, type),
  add: ({ path, value, instance }) => adobe.addOperation(path, value, instance),
  replace: ({ path, value, instance }) => adobe.replaceOperation(path, value, instance),
  remove: ({ path }) => adobe.removeOperation(path),
};

function read([statusCode, body]) {
  const response = { type: "success", statusCode, body };
  const recognised = adobe.isWebhookSuccessResponse(response);
  const built = () => adobe.ok(Array.isArray(body) ? body.map((one) => build[one.op](one)) : build[body.op](body));
  const successful = adobe.isWebhookSuccessful(response);
  return { recognised, successful, built: recognised && isDeepStrictEqual(built(), response) };
}

process.stdout.write(JSON.stringify(JSON.parse(await text(process.stdin)).map(read)));
