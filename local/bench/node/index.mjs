// A peer of the benchmark: the function in JavaScript, as one would write it today.

import { createHash, createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import Big from "big.js";

const CHANNEL = "sales_order_place_after";
const ENVELOPE = ["merchant_id", "environment_id", "event", "event_id", "eventName", "subject", "result", "data"];

// Made once, so that every request shares the connection.
const sqs = new SQSClient({});
const queueUrl = process.env.QUEUE_URL;
const keys = JSON.parse(process.env.WEBHOOK_KEYS);
const secrets = keys.hmac_secrets ?? [];
const publicKeys = (keys.public_keys ?? []).map((pem) => createPublicKey(pem));

class Failure extends Error {
  constructor(status, outcome, detail) {
    super(detail);
    this.status = status;
    this.outcome = outcome;
  }
}

const invalid = (detail) => new Failure(422, "invalid", detail);

export async function handler(event, context) {
  const line = { channel: CHANNEL, request_id: event.requestContext?.requestId || context.awsRequestId };
  try {
    const headers = Object.fromEntries(Object.entries(event.headers ?? {}).map(([k, v]) => [k.toLowerCase(), v]));
    if (!saysJson(headers)) {
      throw new Failure(415, "unsupported_media_type", "The body must be application/json.");
    }
    const body = Buffer.from(event.body ?? "", event.isBase64Encoded ? "base64" : "utf8");
    if (!isSigned(body, headers)) {
      throw new Failure(401, "untrusted", "No key confirms a signature of the body.");
    }
    const message = toMessage(body, event.requestContext?.timeEpoch);
    line.event_id = message.id;
    await send(message, headers.traceparent);
    line.outcome = "accepted";
    return answer(200, "application/json", { op: "success" });
  } catch (error) {
    const isExpected = error instanceof Failure;
    const { status, outcome, message } = isExpected ? error : new Failure(500, "internal", "Something went wrong.");
    line.outcome = outcome;
    line.error = (isExpected ? error.cause : error)?.name;
    return answer(status, "application/problem+json", { title: outcome, status, detail: message });
  } finally {
    // Not console.log, which the runtime writes a prefix to.
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}

function answer(statusCode, contentType, body) {
  return { statusCode, headers: { "content-type": contentType }, body: JSON.stringify(body), isBase64Encoded: false };
}

function saysJson(headers) {
  const [type, ...parameters] = (headers["content-type"] ?? "").split(";").map((part) => part.trim().toLowerCase());
  const charsets = parameters.filter((part) => part.startsWith("charset="));
  const encoding = headers["content-encoding"]?.toLowerCase() ?? "identity";
  return (
    type === "application/json" &&
    charsets.every((part) => part.slice("charset=".length).replaceAll('"', "") === "utf-8") &&
    encoding === "identity"
  );
}

/** Over the raw bytes: an HMAC, or the shop's RSA over the base64 of the body. */
function isSigned(body, headers) {
  const hmac = decodeHmac(headers["x-adobe-signature"]?.trim() ?? "");
  const byHmac = (secret) => timingSafeEqual(createHmac("sha256", secret).update(body).digest(), hmac);
  if (hmac.length === 32 && secrets.some(byHmac)) {
    return true;
  }
  const rsa = headers["x-adobe-commerce-webhook-signature"];
  if (!rsa) {
    return false;
  }
  const signed = Buffer.from(body.toString("base64"));
  const signature = Buffer.from(rsa, "base64");
  return publicKeys.some((key) => verify("sha256", signed, key, signature));
}

/** Hex, with or without `sha256=`, or base64. */
function decodeHmac(value) {
  const hex = value.replace(/^sha256=/i, "");
  if (hex.length === 64) {
    return Buffer.from(hex, "hex");
  }
  return Buffer.from(hex === value ? value : "", "base64");
}

function toMessage(body, acceptedMs) {
  const top = parse(body);
  for (const name of [top.event, top.eventName]) {
    if (name != null && (typeof name !== "string" || name.replace(/^observer\./, "") !== CHANNEL)) {
      throw new Failure(400, "wrong_event", "The body names another event.");
    }
  }
  const { original, related } = split(top);
  const order = readOrder(original);

  const eventId = envelopeText(top.event_id);
  if (eventId && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(eventId)) {
    throw invalid("event_id must be a UUID");
  }
  const id = eventId?.toLowerCase() ?? deriveId(body);
  const parts = [top.merchant_id, top.environment_id].map(envelopeText).filter(Boolean).map(encode);
  const data = { order, original };
  if (Object.keys(related).length > 0) {
    data.related = related;
  }
  const cloudEvent = {
    specversion: "1.0",
    id,
    source: ["/adobe-commerce", ...parts].join("/"),
    type: `com.adobe.commerce.observer.${CHANNEL}`,
    subject: `order/${order.increment_id}`,
    time: new Date(acceptedMs || Date.now()).toISOString().replace(/\.?0*Z$/, "Z"),
    datacontenttype: "application/json",
    data,
  };
  return { id, group: groupId(`order/${order.entity_id ?? order.increment_id}`), body: JSON.stringify(cloudEvent) };
}

function parse(body) {
  try {
    const top = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
    if (isObject(top)) {
      return top;
    }
  } catch {
    // Not UTF-8, or not JSON.
  }
  throw new Failure(400, "not_json", "The body must be a JSON object.");
}

/** The order, and the event's other arguments. */
function split(top) {
  const isThere = (value) => value != null && !(Array.isArray(value) && value.length === 0);
  const data = isThere(top.data) ? top.data : {};
  if (!isObject(data)) {
    throw invalid("data must be an object");
  }
  const others = Object.fromEntries(Object.entries(top).filter(([name]) => !ENVELOPE.includes(name)));
  const related = { ...data };
  const candidates = [[related, "order"], [related, "data_object"], [others, "order"]];
  const found = candidates.find(([place, key]) => isThere(place[key]));
  if (!found) {
    throw invalid("data.order is required");
  }
  const [place, key] = found;
  const original = place[key];
  delete place[key];
  // Some events carry the order twice, or an empty place for it.
  if (place.data_object !== undefined && isDeepStrictEqual(place.data_object, original)) {
    delete place.data_object;
  }
  if (place.order === null) {
    delete place.order;
  }
  if (Object.keys(others).some((name) => Object.hasOwn(related, name))) {
    throw invalid("data must not hold what also stands beside it");
  }
  return { original, related: { ...related, ...others } };
}

function envelopeText(value) {
  if (value != null && typeof value !== "string") {
    throw invalid("a field of the envelope must be a string");
  }
  return value || undefined;
}

const encode = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** The same bytes always have the same id: a UUID of version 8. */
function deriveId(body) {
  const id = createHash("sha256").update(`${CHANNEL}\0\0`).update(body).digest().subarray(0, 16);
  id[6] = (id[6] & 0x0f) | 0x80;
  id[8] = (id[8] & 0x3f) | 0x80;
  return id.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** SQS takes up to 128 ASCII letters, digits and punctuation. */
function groupId(group) {
  return /^[!-~]{1,128}$/.test(group) ? group : `order/sha256:${createHash("sha256").update(group).digest("hex")}`;
}

async function send(message, traceparent) {
  const attribute = (value) => ({ DataType: "String", StringValue: value });
  const attributes = { channel: attribute(CHANNEL), "content-type": attribute("application/cloudevents+json") };
  if (/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/i.test(traceparent ?? "")) {
    attributes.traceparent = attribute(traceparent);
  }
  const xray = process.env._X_AMZN_TRACE_ID;
  const command = new SendMessageCommand({
    QueueUrl: queueUrl,
    MessageBody: message.body,
    MessageGroupId: message.group,
    MessageDeduplicationId: message.id,
    MessageAttributes: attributes,
    MessageSystemAttributes: xray ? { AWSTraceHeader: attribute(xray) } : undefined,
  });
  try {
    await sqs.send(command);
  } catch (cause) {
    const failure = new Failure(503, "queue", "The event could not be queued.");
    failure.cause = cause;
    throw failure;
  }
}

// The contract. A reader gives the canonical form, or undefined for no value: a shop writes one value in many ways.

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function scalar(expects, read, isAbsent = (value) => value === null || value === false || value === "") {
  return (value, name) => {
    if (isAbsent(value)) {
      return undefined;
    }
    const result = read(value);
    if (result === undefined) {
      throw invalid(`${name} must be ${expects}`);
    }
    return result;
  };
}

/** PHP writes a numeric SKU or postcode as a number. */
const textOf = (value) => (typeof value === "string" ? value : typeof value === "number" ? String(value) : undefined);

const code = scalar("a string", textOf);
const text = scalar("a string", textOf, (value) => value === null || value === false);

const id = scalar("a whole number, not negative", (value) => {
  const number = /^\d+$/.test(textOf(value) ?? "") ? Number(value) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
});

function decimal(placesMin) {
  return scalar("a decimal number", (value) => {
    try {
      const number = new Big(textOf(value)).round(28);
      // As many digits as a decimal has elsewhere; and no exponent that makes megabytes of zeros.
      if (number.e > 28) {
        return undefined;
      }
      const places = Math.max(number.c.length - number.e - 1, placesMin);
      return (number.eq(0) ? number.abs() : number).toFixed(places);
    } catch {
      return undefined;
    }
  });
}

const money = decimal(2);
const quantity = decimal(0);

const FLAGS = new Map([[true, 1], [1, 1], ["1", 1], [false, 0], [0, 0], ["0", 0]]);
const flag = scalar("0 or 1", (value) => FLAGS.get(value), (value) => value === null || value === "");

const letters = (count) =>
  scalar(`a code of ${count} letters`, (value) =>
    typeof value === "string" && value.length === count && /^[a-z]+$/i.test(value) ? value.toUpperCase() : undefined,
  );
const country = letters(2);
const currency = letters(3);

const EMAIL = /^[^@\s\p{Cc}]+@[^@\s\p{Cc}.]+(\.[^@\s\p{Cc}.]+)*$/u;
const email = scalar("an email address", (value) =>
  typeof value === "string" && Buffer.byteLength(value) <= 254 && EMAIL.test(value) ? value : undefined,
);

const TIMESTAMP = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})?(?:Z|([+-])([01]\d|2[0-3]):?([0-5]\d))?$/i;

const timestamp = scalar(
  "a date and time",
  (value) => {
    const match = typeof value === "string" && TIMESTAMP.exec(value);
    if (!match) {
      return undefined;
    }
    const [, date, clock, fraction = "", sign, hours = 0, minutes = 0] = match;
    const local = new Date(`${date}T${clock}Z`);
    // A 30th of February would become the 2nd of March.
    if (Number.isNaN(local.valueOf()) || local.toISOString().slice(0, 19) !== `${date}T${clock}`) {
      return undefined;
    }
    const offset = (Number(hours) * 60 + Number(minutes)) * (sign === "-" ? -1 : 1);
    const utc = new Date(local.valueOf() - offset * 60_000).toISOString();
    return /^\d{4}-/.test(utc) ? utc.slice(0, 19) + fraction.replace(/\.?0*$/, "") + "Z" : undefined;
  },
  (value) => value === null || value === false || value === "" || value === "0000-00-00 00:00:00",
);

function object(fields) {
  const readers = Object.entries(fields);
  return (value, name) => {
    // PHP writes an empty object as an empty list.
    if (value === null || (Array.isArray(value) && value.length === 0)) {
      return undefined;
    }
    if (!isObject(value)) {
      throw invalid(`${name} must be an object`);
    }
    const result = {};
    for (const [field, read] of readers) {
      const raw = value[field];
      const canonical = raw === undefined ? undefined : read(raw, field);
      if (canonical !== undefined) {
        result[field] = canonical;
      }
    }
    return result;
  };
}

/** A list, or what PHP makes of a list that is keyed by id. */
function elements(value, name) {
  if (isObject(value) && Object.keys(value).every((key) => /^(0|[1-9]\d*)$/.test(key))) {
    return Object.values(value);
  }
  if (!Array.isArray(value)) {
    throw invalid(`${name} must be a list`);
  }
  return value;
}

function list(read) {
  return (value, name) =>
    value === null
      ? undefined
      : elements(value, name).map((element) => {
          const result = read(element, name);
          if (result === undefined) {
            throw invalid(`${name} must not have empty elements`);
          }
          return result;
        });
}

/** A list of lines, or one text with line breaks. */
function street(value, name) {
  const lines =
    typeof value === "object" && value !== null
      ? elements(value, name).map((line) => (line === null ? "" : textOf(line)))
      : text(value, name)?.split(/\r?\n/);
  if (lines?.includes(undefined)) {
    throw invalid(`${name} must be a list of strings`);
  }
  const written = lines?.filter((line) => line !== "");
  return written?.length ? written : undefined;
}

const regionObject = object({ region: text, region_code: text });
const region = (value, name) =>
  typeof value === "object" ? regionObject(value, name) : { region: text(value, name) };

const readAddress = object({
  firstname: text,
  lastname: text,
  email,
  street,
  city: text,
  region,
  region_code: text,
  country_id: country,
  postcode: text,
  telephone: text,
  address_type: code,
});

/** The region's code belongs beside its name, wherever the shop wrote it. */
function address(value, name) {
  const result = readAddress(value, name);
  if (result?.region) {
    const { region: regionName, region_code: regionCode } = result.region;
    result.region = regionName;
    result.region_code ??= regionCode;
  }
  return result;
}

const order = object({
  entity_id: id,
  increment_id: code,
  status: code,
  state: code,
  customer_id: id,
  customer_email: email,
  customer_firstname: text,
  customer_lastname: text,
  customer_is_guest: flag,
  created_at: timestamp,
  updated_at: timestamp,
  grand_total: money,
  subtotal: money,
  tax_amount: money,
  shipping_amount: money,
  discount_amount: money,
  base_currency_code: currency,
  order_currency_code: currency,
  billing_address: address,
  shipping_address: address,
  addresses: list(address),
  items: list(
    object({
      item_id: id,
      sku: code,
      name: text,
      product_id: id,
      product_type: code,
      qty_ordered: quantity,
      price: money,
      row_total: money,
      tax_amount: money,
    }),
  ),
  payment: object({ method: code, amount_paid: money, base_amount_paid: money }),
});

function readOrder(original) {
  const { addresses = [], ...result } = order(original, "order");
  // A shop lists an order's addresses by type. A named one wins.
  for (const listed of addresses) {
    if (listed.address_type === "billing" || listed.address_type === "shipping") {
      result[`${listed.address_type}_address`] ??= listed;
    }
  }
  delete result.billing_address?.address_type;
  delete result.shipping_address?.address_type;

  const missing = ["increment_id", "grand_total", "order_currency_code"].find((field) => result[field] === undefined);
  if (missing) {
    throw invalid(`${missing} is required`);
  }
  if (!result.items?.length) {
    throw invalid("items must not be empty");
  }
  if (result.items.some((item) => item.sku === undefined || item.qty_ordered === undefined)) {
    throw invalid("items must have sku and qty_ordered");
  }
  return result;
}
