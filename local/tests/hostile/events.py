"""What is invoked by somebody else than the gateway, or by a gateway that has gone mad. The function answers everybody."""

import json

from .case import CART, CUSTOMER, DELETE, INVOICE, PLACE, PRODUCT, SAVE, SHIPMENT, Case, b64, body, php_json, raw, signed

CASES = []


def case(name, channel, event, outcome="not_a_request", why="", pointers=()):
    CASES.append(Case(name, channel, event if callable(event) else lambda: event, outcome, pointers, why=why))


def changed(name, channel, outcome="not_a_request", why="", context=None, drop=(), **members):
    """A good request with other members, and others in its requestContext."""

    def event():
        made = {**signed(channel, body(channel)), **members}
        if context is not None:
            made["requestContext"] = {**made["requestContext"], **context}
        for member in drop:
            made.pop(member)
        return made

    case(name, channel, event, outcome, why)


# Other services

ARN = "arn:aws:x:eu-west-1:000000000000:thing"
case("empty-object", PLACE, {})
case("empty-list", PLACE, [])
case("list-of-requests", PLACE, lambda: [signed(PLACE, body(PLACE))])
case("null", PLACE, None)
case("number", PLACE, 7)
case("negative-infinite", PLACE, b"-1e999")
case("true", PLACE, True)
case("text", PLACE, "hello")
case("text-of-a-request", PLACE, lambda: json.dumps(signed(PLACE, body(PLACE))))
case("the-body-alone", PLACE, lambda: body(PLACE), why="invoked by hand without the gateway's request")
case("warmer", PLACE, {"warmer": True, "concurrency": 3})
case(
    "sqs",
    SAVE,
    lambda: {"Records": [{"messageId": "1", "body": php_json(body(SAVE)), "eventSource": "aws:sqs", "eventSourceARN": ARN}]},
)
case("sns", SAVE, lambda: {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": php_json(body(SAVE))}}]})
case("s3", SAVE, {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "../k"}}}]})
case("dynamodb", SAVE, {"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"Keys": {"id": {"N": "1"}}}}]})
case("kinesis", SAVE, lambda: {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": b64(body(SAVE))}}]})
case("firehose", SAVE, {"invocationId": "1", "deliveryStreamArn": ARN, "records": [{"recordId": "1", "data": "e30="}]})
case("msk", SAVE, {"eventSource": "aws:kafka", "records": {"t-0": [{"value": "e30="}]}})
case(
    "eventbridge", INVOICE, lambda: {"version": "0", "id": "1", "detail-type": "order", "source": "shop", "detail": body(INVOICE)}
)
case("schedule", INVOICE, {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}})
case("logs", INVOICE, {"awslogs": {"data": "H4sIAAAAAAAAAA=="}})
case("alarm", INVOICE, {"AlarmName": "a", "NewStateValue": "ALARM"})
case(
    "cognito",
    INVOICE,
    {"version": "1", "triggerSource": "PreSignUp_SignUp", "userName": "zoe", "request": {"userAttributes": {}}},
)
case("cloudformation", INVOICE, {"RequestType": "Delete", "ResponseURL": "http://evil.example/", "StackId": ARN})
case("cloudfront", INVOICE, {"Records": [{"cf": {"config": {}, "request": {"method": "POST", "headers": {}}}}]})
case("step-functions", INVOICE, lambda: {"input": body(INVOICE), "executionArn": ARN})
case("appsync", INVOICE, {"arguments": {}, "identity": None, "request": {"headers": {}}, "info": {"fieldName": "order"}})
case("authorizer-1.0", INVOICE, {"type": "TOKEN", "authorizationToken": "Bearer x", "methodArn": ARN})
case(
    "destination",
    INVOICE,
    {"version": "1.0", "requestContext": {"requestId": "1", "condition": "RetriesExhausted"}, "requestPayload": {}},
    "unsupported_media_type",
    "it has a requestContext, too, and no type",
)
case("cloud-event", INVOICE, lambda: {"specversion": "1.0", "type": "x", "source": "/", "id": "1", "data": body(INVOICE)})
case("json-rpc", INVOICE, {"jsonrpc": "2.0", "method": "order.place", "params": [], "id": 1})
case("graphql", INVOICE, {"query": "{ __schema { types { name } } }"})

# Other gateways


def rest_api():
    made = signed(SHIPMENT, body(SHIPMENT))
    context = {"requestId": "c6af9ac6", "requestTimeEpoch": 1781814431000, "httpMethod": "POST", "stage": "prod", "identity": {}}
    return {
        "resource": "/webhook/{proxy+}",
        "path": "/webhook/x",
        "httpMethod": "POST",
        "headers": made["headers"],
        "multiValueHeaders": {name: [value] for name, value in made["headers"].items()},
        "queryStringParameters": None,
        "requestContext": context,
        "body": made["body"],
        "isBase64Encoded": False,
    }


case("rest-api", SHIPMENT, rest_api, "accepted", "payload 1.0 says the same where it matters, and the signature verifies it")
case("rest-api-unsigned", SHIPMENT, lambda: {**rest_api(), "headers": {"Content-Type": "application/json"}}, "signature_missing")
case("rest-api-without-headers", SHIPMENT, lambda: {**rest_api(), "headers": None}, "accepted", "the lists say the same")
case("load-balancer", SHIPMENT, lambda: {**rest_api(), "requestContext": {"elb": {"targetGroupArn": ARN}}}, "accepted")
case(
    "load-balancer-multi-value",
    SHIPMENT,
    lambda: {"requestContext": {"elb": {}}, "multiValueHeaders": {}, "body": "{}"},
    "unsupported_media_type",
)
case(
    "function-url",
    SHIPMENT,
    lambda: {**signed(SHIPMENT, body(SHIPMENT, note=2)), "routeKey": "$default", "rawPath": "/"},
    "accepted",
)
case(
    "websocket",
    SHIPMENT,
    lambda: {
        "requestContext": {"routeKey": "$default", "eventType": "MESSAGE", "connectionId": "x="},
        "body": php_json(body(SHIPMENT)),
        "isBase64Encoded": False,
    },
    "unsupported_media_type",
    "no headers",
)
case(
    "websocket-connect",
    SHIPMENT,
    {"headers": {"Upgrade": "websocket"}, "requestContext": {"eventType": "CONNECT"}},
    "unsupported_media_type",
)
case(
    "vpc-lattice",
    SHIPMENT,
    lambda: {
        "version": "2.0",
        "path": "/",
        "method": "POST",
        "headers": {"content-type": ["application/json"]},
        "body": "{}",
        "requestContext": {"timeEpoch": "1690497599177430"},
    },
    why="lists for headers",
)
case(
    "preflight",
    SHIPMENT,
    lambda: {
        **signed(SHIPMENT, ""),
        "headers": {"origin": "https://evil.example", "access-control-request-method": "POST"},
        "body": None,
    },
    "unsupported_media_type",
)
case(
    "health-check",
    SHIPMENT,
    lambda: {**signed(SHIPMENT, ""), "headers": {"user-agent": "ELB-HealthChecker/2.0"}},
    "unsupported_media_type",
)

# The body as the gateway never writes it

changed("body-null", PRODUCT, "signature_wrong", "signed for something", body=None)
changed("body-missing", PRODUCT, "signature_wrong", drop=["body"])
changed("body-number", PRODUCT, body=7)
changed("body-false", PRODUCT, body=False)
changed("body-object", PRODUCT, body=body(PRODUCT), why="parsed by somebody on the way: its bytes are lost")
changed("body-list", PRODUCT, body=[php_json(body(PRODUCT))])
changed("body-empty", PRODUCT, "signature_wrong", body="")
changed("body-escaped-twice", PRODUCT, "signature_wrong", body=json.dumps(php_json(body(PRODUCT))))
changed("body-half-a-pair", PRODUCT, body="\ud800", why="no bytes are that")
case("body-null-signed", PRODUCT, lambda: {**signed(PRODUCT, ""), "body": None}, "not_json", "nothing, rightly signed")
case("body-missing-signed", PRODUCT, lambda: {k: v for k, v in signed(PRODUCT, "").items() if k != "body"}, "not_json")
case(
    "body-escaped-by-the-gateway",
    PRODUCT,
    lambda: raw(json.dumps(signed(PRODUCT, body(PRODUCT, note="é/\u2028😀")), ensure_ascii=True)),
    "accepted",
)
case(
    "body-not-escaped-by-the-gateway",
    PRODUCT,
    lambda: raw(json.dumps(signed(PRODUCT, php_json(body(PRODUCT, note="@")).replace("@", "é\u2028😀")), ensure_ascii=False)),
    "accepted",
)


def twice(member, first, last):
    def event():
        made = signed(CUSTOMER, body(CUSTOMER))
        return (
            json.dumps({**made, member: "@@"})
            .replace('"@@"', f'{json.dumps(first(made))}, "{member}": {json.dumps(last(made))}')
            .encode()
        )

    return event


case("body-twice", CUSTOMER, twice("body", lambda made: made["body"], lambda made: "{}"))
case("headers-twice", CUSTOMER, twice("headers", lambda made: {}, lambda made: made["headers"]))
case("flag-twice", CUSTOMER, twice("isBase64Encoded", lambda made: True, lambda made: False))
case("context-twice", CUSTOMER, twice("requestContext", lambda made: {}, lambda made: made["requestContext"]))
case("unread-member-twice", CUSTOMER, twice("rawPath", lambda made: "/a", lambda made: "/b"), "accepted")

# The context

changed("context-missing", DELETE, drop=["requestContext"])
changed("context-null", DELETE, requestContext=None)
changed("context-list", DELETE, "accepted", requestContext=[], why="serde reads a list as its members in their order, here none")
changed("context-text", DELETE, requestContext="x")
changed("context-number", DELETE, requestContext=0)
changed("context-empty", DELETE, "accepted", requestContext={}, why="neither id nor time are needed")
changed("id-null", DELETE, context={"requestId": None})
changed("id-number", DELETE, context={"requestId": 7})
changed("id-list", DELETE, context={"requestId": ["x"]})
changed("id-half-a-pair", DELETE, context={"requestId": "\ud800"})
changed("id-empty", DELETE, "accepted", context={"requestId": ""})
changed("time-negative", CART, context={"timeEpoch": -1})
changed("time-very-negative", CART, context={"timeEpoch": -(2**63)})
changed("time-float", CART, context={"timeEpoch": 1781814431000.5})
changed("time-exponent", CART, context={"timeEpoch": 1e300})
changed("time-text", CART, context={"timeEpoch": "1781814431000"})
changed("time-null", CART, context={"timeEpoch": None})
changed("time-true", CART, context={"timeEpoch": True})
changed("time-list", CART, context={"timeEpoch": [1781814431000]})
changed("time-largest", CART, context={"timeEpoch": 2**64 - 1}, why="no date has it")
changed("time-past-u64", CART, context={"timeEpoch": 2**64})
changed("time-past-i64", CART, context={"timeEpoch": 2**63})
changed("time-year-10000", CART, context={"timeEpoch": 253402300800000}, why="RFC 3339 has four digits")
changed("time-in-nanoseconds", CART, context={"timeEpoch": 1781814431000000000})
changed("time-zero", CART, "accepted", context={"timeEpoch": 0}, why="unknown")
changed("time-one", CART, "accepted", context={"timeEpoch": 1}, why="another clock: the budget counts from the arrival")
changed("time-missing", CART, "accepted", requestContext={"requestId": "x"})
changed("time-year-9999", CART, "accepted", context={"timeEpoch": 253402300799999}, why="from the future: another clock's")

# What the function does not look at

changed(
    "method-get", SAVE, "accepted", context={"http": {"method": "GET"}}, why="the gateway routes by method, and the signature is right"
)
changed("path-of-another", SAVE, "accepted", rawPath="/webhook/observer.sales_order_place_after", routeKey="$default")
changed("path-traversal", SAVE, "accepted", rawPath="/webhook/..%2f..%2f/etc/passwd")
changed(
    "query-injection",
    SAVE,
    "accepted",
    rawQueryString="event=observer.other&x=%0d%0a",
    queryStringParameters={"event": "observer.other"},
)
changed("cookies", SAVE, "accepted", cookies=["session=x; path=/"] * 100)
changed("version-1.0", SAVE, "accepted", version="1.0")
changed("version-9", SAVE, "accepted", version=9)
changed(
    "stage-variables",
    SAVE,
    "accepted",
    stageVariables={"SIGNATURE_SCHEMES": "accept-unsigned", "QUEUE_URL": "http://evil.example"},
)
changed("path-parameters", SAVE, "accepted", pathParameters={"proxy": "../.."})
changed("authorizer", SAVE, "accepted", context={"authorizer": {"jwt": {"claims": {"admin": "true"}}}})
changed("unread-many", SAVE, "accepted", **{f"k{index}": index for index in range(10_000)})
changed("context-unread-many", SAVE, "accepted", context={f"k{index}": index for index in range(10_000)})


def with_member(text, inside="{"):
    return lambda: json.dumps(signed(SAVE, body(SAVE))).replace(inside, f'{inside}"a":{text},', 1).encode()


DEEP = "[" * 100_000 + "]" * 100_000
case("unread-100000-levels", SAVE, with_member(DEEP), "accepted", "read past without a stack")
case("context-unread-100000-levels", SAVE, with_member(DEEP, '"requestContext": {'), "accepted")
case("headers-unread-100000-levels", SAVE, with_member(DEEP, '"headers": {'), "accepted")
case("unread-1e999", SAVE, with_member("1e999"), "accepted")
case("unread-half-a-pair", SAVE, with_member(r'"\ud800"'), "accepted")
case(
    "key-half-a-pair",
    SAVE,
    lambda: json.dumps(signed(SAVE, body(SAVE))).replace("{", r'{"\ud800":1,', 1).encode(),
    why="no text is that",
)
case("100000-levels", SAVE, DEEP.encode())
case("100000-levels-of-objects", SAVE, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
