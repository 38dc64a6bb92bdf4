"""What `make deploy` lets through, the functions start with: the edges of every parameter, in the look at samconfig.toml and in the
real functions. And no value reaches CloudFormation cut."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest

import pytest
import samconfig
from function import Function
from stack import ROOT, channels, template
from test_headless_stock import GRAPHQL, HEADLESS

DECLARED = template()["Parameters"]
URL = "https://erp.example/stock/{sku}"
NUMBERS = ["", " ", " 1000", "1000 ", "1 000", "+1000", "-1", "-0", "01000", "1000.0", "1000.5", ".5", "1e3", "0x3e8", "1_000", "NaN",
           "Infinity", "１０００", "1000\n", '"1000"', "true", "9" * 30]  # fmt: skip
TEXTS = ["", " ", "\t", "\n", "\u00a0", "\u200b", "a", " a", "a ", "a b", "a\nb", "a\tb", 'a"b', "a'b", "'a'", '"a"', "a\\b",
         "a\\", "a\\ b", "a\\'b", 'a\\"b', "a\\\\b", "a`b", "é", "😀", "\x7f",
         "a,b", "a=b", "a&b", "x" * 100, "x" * 101, "x" * 250, "x" * 251, "😀" * 125, "😀" * 126]  # fmt: skip


def number(taken, refused=()):
    return [str(one) for one in taken], [*NUMBERS, *map(str, refused)]


def choice(name, *refused):
    allowed = [str(one) for one in DECLARED[name]["AllowedValues"]]
    return allowed, ["", " ", "other", f" {allowed[0]}", f"{allowed[0]} ", allowed[0].upper() + "!", f'"{allowed[0]}"', *refused]


def text(taken, refused=()):
    """Whether the common texts are taken or refused is left open: here counts that both agree."""
    return list(taken), list(refused)


# For each parameter what must be taken, and what must be refused.
EDGES = {
    "Architecture": choice("Architecture", "arm", "ARM64"),
    "HookTimeoutMs": number([600, 601, 5000, 28999, 29000], [0, 599, 29001, "599.9"]),
    "SoftTimeoutMs": number([100, 1000, 29000], [99, 29001]),
    "SignatureSchemes": text(
        ["hmac,rsa", "hmac", "rsa", "accept-unsigned", "rsa,hmac", "ims", "hmac+ims", "rsa+ims", "hmac,rsa,ims", "rsa+ims,hmac",
         "hmac,rsa,ims,hmac+ims,rsa+ims"],
        ["", " ", "hmac, rsa", " hmac", "hmac ", "none", "HMAC", "hmac,", ",hmac", "hmac,,rsa", "hmac;rsa", "hmac,accept-unsigned",
         "accept-unsigned,hmac", "ims+hmac", "hmac+rsa", "hmac+", "+ims", "hmac+ims+rsa", "ims,ims,ims,ims,ims,ims,ims,ims", "hmac\n"],
    ),
    "KeysRefreshSeconds": number([1, 300, 86400], [0, 86401]),
    "KeysPreviousSeconds": number([0, 1, 86400, 31536000], [31536001]),
    "ImsKeysUrl": text(
        ["https://ims-na1.adobelogin.com/ims/keys", "https://ims-na1-stg1.adobelogin.com/ims/keys", "https://a.example/k",
         "https://a.example/" + "k" * 182],
        ["", " ", "ims-na1.adobelogin.com", "http://ims-na1.adobelogin.com/ims/keys", "http://127.0.0.1/ims/keys", "HTTPS://a.example/k",
         "https://a.example", "https://a.example/", "https:///ims/keys", "https://u@a.example/k", "https://u:p@a.example/k",
         "https://a.example:443/k", "https://a.example/k?a=b", "https://a.example/k#a", "https://a.example/a b", " https://a.example/k",
         "https://a.example/k\n", "https://-a.example/k", "https://A.example/k", "https://a_b.example/k", "https://é.example/k",
         "https://a.example/" + "k" * 183],
    ),
    "ImsKeysRefreshSeconds": number([1, 3600, 86400], [0, 86401]),
    "EventSource": text(
        ["", "a", "https://shop.example", "urn:shop:1", "/a/b?c=d&e=%20#f", "a,b;c:d@e[f]g!h$i'j(k)*+~_-.", "x" * 100],
        [" ", "my shop", " a", "a ", "caf\u00e9", "x" * 101, *(f"a{one}b" for one in '"<>\\^`{|}\n\t\x7f')],
    ),
    "ForwardOriginal": choice("ForwardOriginal", "True", "TRUE", "1", "yes"),
    "ForwardBefore": choice("ForwardBefore", "True", "TRUE", "1", "yes"),
    "Contract": choice("Contract", "Strict", "lenient"),
    "InvalidEvents": choice("InvalidEvents", "Quarantine", "accept", "422"),
    "HeadlessStock": choice("HeadlessStock", "True", "1", "yes"),
    "StockUrl": text(
        ["", URL, "https://erp.example:8443/stock?sku={sku}&site=1", "https://E-1.example/{sku}", "https://10.0.0.1/{sku}/{sku}",
         "https://erp.example/a.b/..c/...;d/%20/{sku}.json", "https://erp.example/?{sku}",
         "https://erp.example/!$&'()*+,;=:@~_-/{sku}",
         "https://erp.example/{sku}" + "x" * 975],
        [" ", "erp", "https://erp.example/", "https://erp.example", "http://erp.example/{sku}", "http://localhost/{sku}",
         "HTTPS://erp.example/{sku}",
         "ftp://erp.example/{sku}", "//erp.example/{sku}", "https:///{sku}", "https://{sku}.example/", "https://{sku}/{sku}",
         "https://erp.example{sku}/",
         "https://erp.example:{sku}/{sku}", "https://erp.example:/{sku}", "https://erp.example:80:80/{sku}",
         "https://erp.example:123456/{sku}",
         "https://user:hush@erp.example/{sku}", "https://user@erp.example/{sku}", "https://erp.example/#{sku}",
         "https://erp.example/{sku}#a",
         "https://erp.example/a b/{sku}", f" {URL}", f"{URL} ", f"{URL}\n", "https://erp.example/{SKU}",
         "https://erp.example/{sku", "https://erp.example/{a}/{sku}",
         "https://erp.example/./{sku}", "https://erp.example/../{sku}", "https://erp.example/a/../{sku}",
         "https://erp.example/{sku}/..",
         "https://erp.example/{sku}/.?a", "https://erp.example/%2e/{sku}", "https://erp.example/.%2E/{sku}",
         "https://erp.example/%zz/{sku}", "https://erp.example/%/{sku}",
         "https://erp.example/é/{sku}", "https://é.example/{sku}", "https://erp_1.example/{sku}", "https://erp.example\\{sku}",
         'https://erp.example/"{sku}"',
         "https://erp.example/{sku}" + "x" * 976],
    ),
    "StockPointer": text(
        ["", "/", "/stock/qty", "/items/0/in~1stock", "/a~0b", "/a b", "/ ", "/é", "/😀", "//", "/" + "x" * 199],
        [" ", "qty", "stock/qty", " /qty", "\n/qty", "/a\nb", "/a\tb", "/a~", "/a~2", "/" + "x" * 200],
    ),
    "StockWhenUnknown": choice("StockWhenUnknown", "Allow", "perhaps"),
    "StockTimeoutMs": number([10, 11, 1000, 20000], [9, 20001]),
    "StockMessage": text(
        ["x", "Not in stock", " Not in stock ", "It's \"sold out\"", "Är slut 😀", "😀", "a\\b", "x" * 250, "\u20ac" * 250, "😀" * 125],
        ["", " ", "   ", "\u00a0", "\u3000\u200b", "\n", "two\nlines", "a\tb", "a\u2028b", "a\x00b", "x" * 251, "😀" * 126],
    ),
    "StockExceptionType": text(
        [GRAPHQL, "Exception", "_A1\\b_2\\C", "x" * 200],
        ["", " ", "\\Exception", "Exception\\", "A\\\\B", "A/B", "A-B", "1A", "A\\1B", "A B", "A\n", "Ä", "x" * 201],
    ),
    "RequestsPerSecond": number([1, 100000], [0, 100001]),
    "RequestsBurst": number([1, 100000], [0, 100001]),
    "PlaceOrderReserved": number([0, 1000, 100000], ["00", 100001]),
    "PlaceOrderProvisioned": number([0, 1000, 100000], ["00", 100001]),
    "CartReserved": number([0, 1000, 100000], ["00", 100001]),
    "CartProvisioned": number([0, 1000, 100000], ["00", 100001]),
    "OthersReserved": number([0, 1000, 100000], ["00", 100001]),
    "Deployment": choice("Deployment"),
    "PreTrafficCheck": choice("PreTrafficCheck", "True", "1", "yes"),
    "AlarmTopicArn": text(["", "arn:aws:sns:eu-west-1:0:alarms", "arn:aws-cn:sns:cn-north-1:0:alarms"],
                          [" ", "alarms", " arn:aws:sns:eu-west-1:0:alarms"]),
    "AlarmEvents": number([1, 1000000], [0, 1000001]),
    "AlarmAgeSeconds": number([60, 1209600], [59, 1209601]),
    "AlarmQuietHours": number([0, 24], [25]),
    "AlarmIrregularEvents": number([0, 1, 1000000], [1000001]),
    "AlarmConcurrencyPercent": number([0, 1, 100], [101]),
    "KmsKeyArn": text(["", "arn:aws:kms:eu-west-1:0:key/1"],
                      [" ", "alias/mine", "arn:aws:kms:eu-west-1:0:alias/a", "arn:aws:kms:eu-west-1:0:key/"]),
    "DomainName": text(
        ["", "shop.example", "webhooks.shop.example", "xn--4ca.example", "a-b.c1.example", "a" * 63 + ".example"],
        [" ", "shop", "https://shop.example", "shop.example/", "shop.example:443", ".shop.example", "shop.example.", "-a.example", "a-.example",
         "a_b.example", "Shop.example", "*.shop.example", "é.example", "a" * 64 + ".example", "a." * 125 + "test"],
    ),
    "DomainCertificateArn": text(["", "arn:aws:acm:eu-west-1:000000000000:certificate/1"], [" ", "certificate/1", "arn:aws:acm:eu-west-1:0:key/1"]),
    "DefaultEndpoint": choice("DefaultEndpoint", "never", "Always"),
    "PermissionsBoundaryArn": text(["", "arn:aws:iam::000000000000:policy/a/boundary"], [" ", "boundary", "arn:aws:iam::0:role/a"]),
    "LogLevel": choice("LogLevel", "debug", "INFO", "trace"),
    "LogRetentionDays": choice("LogRetentionDays", "2", "07", "7.0", "0"),
}  # fmt: skip


def values(name):
    taken, refused = EDGES[name]
    return dict.fromkeys([*taken, *refused, *(TEXTS if DECLARED[name]["Type"] == "String" else [])])


def written(name, value):
    """The ways to write a parameter so that SAM takes it whole, if there is one for this value."""
    quoted = '{}="{}"'.format(name, value.replace('"', '\\"'))
    return [quoted, [quoted], {name: value}]


def accepted(name, value):
    """Whether the look at samconfig.toml takes the value, in any way to write it. What is taken is taken whole."""
    found = False
    for overrides in written(name, value):
        parameters, problems = samconfig.read(overrides)
        assert problems or parameters == {name: value}, "cut"
        found |= not problems and not list(samconfig.unfit(parameters, DECLARED))
    return found


def variables():
    """The environment of the function with the most variables, as the template has it: a value, or the parameter that it is of."""
    bundle = template()
    function = bundle["Resources"][channels()[HEADLESS]]["Properties"]["Environment"]["Variables"]
    return bundle["Globals"]["Function"]["Environment"]["Variables"] | function


OF_PARAMETERS = {value["Ref"]: name for name, value in variables().items() if isinstance(value, dict) and value.get("Ref") in DECLARED}


def environment(**parameters):
    """What the function gets with these parameters. The keys are in a store that is out of reach, which is no reason not to start."""
    chosen = {name: str(one["Default"]) for name, one in DECLARED.items()} | parameters
    return {variable: chosen[name] for name, variable in OF_PARAMETERS.items()} | {
        "WEBHOOK_KEYS": "",
        "WEBHOOK_KEYS_SECRET": "arn:aws:secretsmanager:eu-west-1:0:secret:keys",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:1",
        "QUARANTINE_QUEUE_URL": "http://127.0.0.1:1/0/quarantine.fifo",
    }


def starts(parameters):
    """Whether the real function starts with these parameters and answers, and what it says if not."""
    with Function(HEADLESS, "http://127.0.0.1:1/0/crm.fifo", **environment(**parameters)) as function:
        result = function.invoke({})
        return result.status == 400 and function.starts == 1, result.log


@pytest.mark.parametrize("name", DECLARED)
def test_the_edges_of_a_parameter(name):
    assert name in EDGES, "a parameter without edges"
    taken, refused = EDGES[name]
    assert not [value for value in taken if not accepted(name, value)]
    assert not [value for value in refused if accepted(name, value)]
    assert accepted(name, str(DECLARED[name]["Default"])), "as a deployment without it has"


def test_the_function_starts_with_whatever_is_accepted():
    assert {"EventSource", "StockUrl", "StockPointer", "StockMessage", "HookTimeoutMs", "KeysRefreshSeconds"} <= set(OF_PARAMETERS)
    fits = {name: [value for value in values(name) if "\0" not in value and accepted(name, value)] for name in OF_PARAMETERS}
    # Each start tries one value of every parameter, those of the stock check always with one to ask.
    fits["StockUrl"].append(URL)
    rounds = [{name: value for name, value in zip(fits, chosen) if value is not None} for chosen in zip_longest(*fits.values())]
    rounds = [{"StockUrl": URL} | one if not one.get("StockUrl") else one for one in rounds] + [{"StockUrl": ""}]
    with ThreadPoolExecutor(4) as pool:
        for parameters, (started, log) in zip(rounds, pool.map(starts, rounds)):
            assert started, (parameters, log)


def test_a_function_that_would_not_start_is_never_deployed():
    """The test above could not fail otherwise: with these values the function does not start, and none of them is accepted."""
    broken = [{"EventSource": "my shop"}, {"StockUrl": "http://erp.example/{sku}"}, {"StockUrl": URL, "StockPointer": "qty"},
              {"HookTimeoutMs": "599"}, {"KeysRefreshSeconds": "0"}, {"StockUrl": URL, "StockTimeoutMs": "9"}, {"StockUrl": URL, "StockExceptionType": "Sold out"}, {"LogLevel": "loud"}]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        assert not any(started for started, _ in pool.map(starts, broken))
    for parameters in broken:
        assert not all(accepted(name, value) for name, value in parameters.items())


def test_the_environment_fits_with_the_longest_value_of_everything():
    """Lambda takes 4 KB, of the variables as JSON."""
    fits = {name: [value for value in values(name) if accepted(name, value)] for name in DECLARED}
    longest = {name: max(some, key=lambda value: len(value.encode())) for name, some in fits.items()}
    for name, size in {"EventSource": 100, "StockUrl": 1000, "StockPointer": 200, "StockMessage": 250, "StockExceptionType": 200}.items():
        assert DECLARED[name]["MaxLength"] == size
    longest["StockPointer"] = "/" + "\u20ac" * 199
    assert accepted("StockPointer", longest["StockPointer"])
    stack, region, account = "s" * 128, "ap-southeast-99", "0" * 12
    of_aws = {
        "QUEUE_URL": f"https://sqs.{region}.amazonaws.com.cn/{account}/{'q' * 80}",
        "QUARANTINE_QUEUE_URL": f"https://sqs.{region}.amazonaws.com.cn/{account}/{'q' * 80}",
        "WEBHOOK_KEYS_SECRET": f"arn:aws-us-gov:secretsmanager:{region}:{account}:secret:WebhookKeys-{'k' * 20}",
        "METRICS_NAMESPACE": f"CommerceWebhooks/{stack}",
    }
    whole = {name: of_aws.get(name, value) for name, value in variables().items()}
    whole |= {variable: longest[name] for name, variable in OF_PARAMETERS.items()}
    assert all(isinstance(value, str) for value in whole.values()), "a variable that this test does not know"
    assert len(json.dumps(whole, ensure_ascii=False).encode()) <= 4096


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("StockMessage=Not in stock", """SAM would not take all of StockMessage=Not in stock. Write 'StockMessage="Not in stock"'"""),
        (["LogLevel=warn", "StockMessage=Not in stock"], """SAM would not take all of StockMessage=Not in stock. Write 'StockMessage="Not in stock"'"""),
        ("LogLevel=warn StockMessage=Not in stock", "SAM would not take all of LogLevel=warn StockMessage=Not in stock. Write a value with spaces as"),
        ("EventSource=", """SAM would not take all of EventSource=. Write 'EventSource=""'"""),
        (["EventSource="], """Write 'EventSource=""'"""),
        ("EventSource= LogLevel=warn", """an empty one as 'NAME=""'"""),
        ("LogLevel=warn ", """Write 'LogLevel="warn "'"""),
        ("StockMessage=\"It's sold out", "Write \"StockMessage=\\\"\\\\\\\"It's sold out\\\"\""),
        ('StockMessage="Sold" out', "SAM would not take all of"),
        ('StockMessage="Sold"out', "SAM would not take all of"),
        ('StockMessage=6" nails', """Write 'StockMessage="6\\" nails"'"""),
        ("StockMessage='", "SAM would not take all of"),
        ("LogLevel=warn StockMessage=\"" + "a" * 60, "SAM would not take all of"),
        ('StockMessage="a\\ b"', "another value, because SAM has no form for this one"),
        ("StockMessage='it\\\"s'", "SAM would not take all of"),
        ("StockMessage=a\\", "another value, because SAM has no form for this one"),
        ("ParameterKey=StockMessage,ParameterValue=Not in stock", """Write 'StockMessage="Not in stock"'"""),
        ("ParameterKey=EventSource,ParameterValue=", """Write 'EventSource=""'"""),
        ({"StockMessage": '"Sold out"'}, 'SAM would not take all of "Sold out" for StockMessage'),
        ({"SignatureSchemes": ["hmac", "", "rsa"]}, "SAM would not take all of hmac,,rsa for SignatureSchemes"),
        (["LogLevel=warn", "LogLevel=info"], "LogLevel is set twice"),
        ("LogLevel=warn LogLevel=info", "LogLevel is set twice"),
        ([{"LogLevel": "warn"}, "LogLevel=info"], "LogLevel is set twice"),
        ("LogLevel", "SAM would not take all of LogLevel"),
        ([7], "parameter_overrides: "),
        ("file://none.yaml", "parameter_overrides: "),
    ],
)
def test_a_value_that_sam_would_cut_is_refused_with_the_right_way_to_write_it(overrides, said):
    parameters, (problem, *others) = samconfig.read(overrides)
    assert said in problem and not others and not parameters
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("overrides", "taken"),
    [
        ("", {}),
        ([], {}),
        ('EventSource=""', {"EventSource": ""}),
        (["EventSource=''", "LogLevel=warn"], {"EventSource": "", "LogLevel": "warn"}),
        ("HookTimeoutMs=3000 LogLevel=warn", {"HookTimeoutMs": "3000", "LogLevel": "warn"}),
        ("StockMessage='Not in stock' LogLevel=\"warn\"", {"StockMessage": "Not in stock", "LogLevel": "warn"}),
        (["StockMessage=It's\\ gone"], {"StockMessage": "It's gone"}),
        ("ParameterKey=LogLevel,ParameterValue=warn", {"LogLevel": "warn"}),
        ({"HookTimeoutMs": 3000, "StockMessage": " Not in stock ", "EventSource": ""},
         {"HookTimeoutMs": "3000", "StockMessage": " Not in stock ", "EventSource": ""}),
        ({"SignatureSchemes": ["hmac", "rsa"]}, {"SignatureSchemes": "hmac,rsa"}),
        ([["LogLevel=warn"], {"HookTimeoutMs": 3000}], {"LogLevel": "warn", "HookTimeoutMs": "3000"}),
    ],
)  # fmt: skip
def test_a_value_that_sam_takes_whole_is_taken(overrides, taken):
    assert samconfig.read(overrides) == (taken, [])


def test_a_parameter_in_a_file_is_looked_at_too(tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("LogLevel: warn\nEventSource: \"'x'\"\n")
    _, (problem,) = samconfig.read(f"file://{file}")
    assert problem.startswith("SAM would not take all of 'x' for EventSource")
    file.write_text("LogLevel: warn\n")
    assert samconfig.read([f"file://{file}", "HookTimeoutMs=3000"]) == ({"LogLevel": "warn", "HookTimeoutMs": "3000"}, [])


def look(tmp_path, config):
    (tmp_path / "samconfig.toml").write_text(config)
    script = "import sys, pathlib; sys.path.insert(0, 'local'); import preflight; preflight.CONFIG = pathlib.Path(sys.argv[1]); "
    command = [sys.executable, "-c", script + "preflight.main('dev')", tmp_path / "samconfig.toml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout + result.stderr


def test_every_parameter_that_does_not_fit_is_named_before_anything_is_built(tmp_path):
    code, said = look(tmp_path, """[dev.global.parameters]
stack_name = "dev"
parameter_overrides = ["HookTimeoutMs=1e3", "LogLevel=debug", "StockUrl=http://erp.example/{sku}", 'StockMessage=" "', "LogRetentionDays=7"]
""")
    assert code == 1
    assert said.splitlines() == [
        "make: samconfig.toml: HookTimeoutMs must be a whole number from 600 to 29000, written in digits, not '1e3'",
        "make: samconfig.toml: LogLevel must be one of error; warn; info, not 'debug'",
        "make: samconfig.toml: StockUrl must be a URL with https and with {sku} in its path or query, as https://erp.example/stock/{sku}, of at most 1000"
        " characters, or empty, not 'http://erp.example/{sku}'",
        "make: samconfig.toml: StockMessage must be one line of 1 to 250 characters, not only white space, not ' '",
    ]


def test_a_file_that_is_not_toml_is_named_in_one_line(tmp_path):
    code, said = look(tmp_path, "[dev.global.parameters]\nparameter_overrides = ['StockMessage='']\n")
    assert code == 1 and said.startswith("make: samconfig.toml is not TOML: ") and said.count("\n") == 1, said


def test_parameters_of_one_command_alone_are_not_passed_over(tmp_path):
    code, said = look(tmp_path, """[dev.global.parameters]
stack_name = "dev"
[dev.deploy.parameters]
parameter_overrides = "LogLevel=warn"
""")
    assert (code, said) == (
        1, "make: samconfig.toml: parameter_overrides stands under dev.deploy.parameters; move it to dev.global.parameters\n"
    )
