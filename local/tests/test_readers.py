"""Readers that others wrote take every sample message: Powertools for AWS Lambda and the SDK of CloudEvents."""

import base64
import gzip
import json
from datetime import datetime

import pytest
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes import SQSEvent, event_source
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event, to_structured_event
from cloudevents.v1.conversion import to_json
from cloudevents.v1.http import from_http, from_json
from stack import EVENTS
from test_consumers import queues  # noqa: F401 (a fixture)

SAMPLES = sorted(EVENTS.glob("*/*.message.json"))


def attribute(text):
    return {"stringValue": text, "stringListValues": [], "binaryListValues": [], "dataType": "String"}


def lambda_record(body, attributes, group, number=1):
    """A message as Lambda hands it to a function."""
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-6619750{number:05}",
        "receiptHandle": f"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a{number}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "SentTimestamp": "1781814431000",
            "SequenceNumber": f"188494964604676{number:05}",
            "MessageGroupId": group,
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "MessageDeduplicationId": f"deduplication-{number}",
            "ApproximateFirstReceiveTimestamp": "1781814431001",
        },
        "messageAttributes": {name: attribute(value) for name, value in attributes.items()},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:erp.fifo",
        "awsRegion": "eu-west-1",
    }


def without_model(sample):
    """The message of a plugin's event, which has no model, made of another."""
    channel = "plugin_sales_api_order_management_place"
    body = sample["MessageBody"] | {
        "type": "com.adobe.commerce.plugin.magento.sales.api.order_management.place",
        "dataschema": f"urn:commerce-webhooks:message:{channel}:1",
        "data": {"original": {"order": {"increment_id": "000000123", "items": [{"sku": "A", "qty_ordered": 1.50}]}}},
    }
    return sample | {"MessageBody": body, "MessageAttributes": sample["MessageAttributes"] | {"channel": channel}}


NAMES = [f"{path.parent.name}/{path.name.removesuffix('.message.json')}" for path in SAMPLES]


@pytest.fixture(params=[*SAMPLES, None], ids=[*NAMES, "without a model"])
def sample(request):
    return json.loads(request.param.read_text()) if request.param else without_model(json.loads(SAMPLES[0].read_text()))


@pytest.fixture(params=["as it is", "compressed"])
def message(request, sample):
    body, attributes = json.dumps(sample["MessageBody"], ensure_ascii=False), sample["MessageAttributes"]
    if request.param == "compressed":
        body = base64.b64encode(gzip.compress(body.encode())).decode()
        attributes = {**attributes, "content-encoding": "gzip, base64"}
    return lambda_record(body, attributes, sample["MessageGroupId"])


def decoded(record):
    """The CloudEvent of a message, as the README says."""
    encoding = record.message_attributes["content-encoding"]
    if encoding is None:
        return record.body
    assert encoding.string_value == "gzip, base64"
    return gzip.decompress(base64.b64decode(record.body)).decode()


def test_powertools_and_cloudevents_read_every_sample(message, sample):
    expected, read = sample["MessageBody"], []

    def handler(record: SQSRecord):
        said = {name: value.string_value for name, value in record.message_attributes.items() if name != "content-encoding"}
        assert said == sample["MessageAttributes"]
        assert record.attributes.message_group_id == sample["MessageGroupId"]
        read.append((record, decoded(record)))

    @event_source(data_class=SQSEvent)
    def function(event, context):
        assert [record.message_id for record in event.records] == [message["messageId"]]
        return process_partial_response(event.raw_event, handler, SqsFifoPartialProcessor(), context)

    assert function({"Records": [message]}, None) == {"batchItemFailures": []}
    ((record, text),) = read
    headers = {"content-type": record.message_attributes["content-type"].string_value}
    event = from_structured_event(HTTPMessage(headers, text.encode()))
    attributes = event.get_attributes()
    assert attributes == {name: value for name, value in expected.items() if name != "data"} | {"time": event.get_time()}
    assert event.get_time() == datetime.fromisoformat(expected["time"])
    assert event.get_extension("contentid") == expected["contentid"]
    assert event.get_data() == expected["data"]
    assert json.loads(to_structured_event(event).body) == expected
    # The SDK's older interface, which more people use.
    for older in (from_json(text), from_http(headers, text)):
        assert (older["id"], older["type"], older["time"], older["contentid"]) == tuple(
            expected[name] for name in ("id", "type", "time", "contentid")
        )
        assert older.data == expected["data"] and json.loads(to_json(older)) == expected


@pytest.mark.parametrize("skip_group_on_error", [False, True])
def test_what_powertools_gives_back_keeps_the_order_of_its_group(queues, skip_group_on_error):  # noqa: F811
    sample = json.loads(SAMPLES[0].read_text())
    sent = [("order/1", 1), ("order/1", 2), ("order/2", 3), ("order/1", 4), ("order/2", 5)]
    for group, number in sent:
        queues.send(json.dumps(sample["MessageBody"] | {"id": str(number)}), group=group)
    received = queues.receive(queues.live)
    handles, records = {}, []
    for number, message in enumerate(received):
        record = lambda_record(message["Body"], {}, message["Attributes"]["MessageGroupId"], number)
        record["attributes"] = message["Attributes"]
        handles[record["messageId"]] = message["ReceiptHandle"]
        records.append(record)
    done = []

    def handler(record):
        number = int(from_json(decoded(record))["id"])
        if number == 2:
            raise RuntimeError
        done.append(number)

    processor = SqsFifoPartialProcessor(skip_group_on_error=skip_group_on_error)
    answer = process_partial_response({"Records": records}, handler, processor, None)
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    # As Lambda does with this answer.
    for identifier, handle in handles.items():
        if identifier not in failed:
            queues.sqs.delete_message(QueueUrl=queues.live, ReceiptHandle=handle)
    for identifier in failed:
        queues.sqs.change_message_visibility(QueueUrl=queues.live, ReceiptHandle=handles[identifier], VisibilityTimeout=0)
    again = [int(json.loads(message["Body"])["id"]) for message in queues.receive(queues.live)]
    assert (done, again) == (([1, 3, 5], [2, 4]) if skip_group_on_error else ([1], [2, 3, 4, 5]))
