"""The bundle that the shop's hooks post to: where it is, what it was deployed with, and the hooks that it wants."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from hooks import ROUTE, URL_VARIABLE, BadHooks, for_bundle, from_xml
from rest import web_address

OWN_FILE = Path(__file__).resolve().parent / "webhooks.xml"
STACK = "commerce-webhooks"


@dataclass(frozen=True)
class Bundle:
    """Where the bundle is, the times that it goes by, and what else is known of its stack (None if there is none to ask)."""

    url: str
    timeout: int
    soft_timeout: int
    stack: str = None
    invalid_events: str = None
    contract: str = None
    schemes: str = None
    secret: str = None
    # Those of the times that nobody said.
    assumed: tuple = ()
    # Whether hooks are required is what webhooks.xml says, or no hook is.
    none_required: bool = False

    def hooks(self):
        """The hooks that it wants, by channel."""
        hooks = [for_bundle(hook, self.url or URL_VARIABLE, self.timeout, self.soft_timeout) for hook in own_hooks()]
        if self.none_required:
            hooks = [replace(hook, required=False) for hook in hooks]
        return {hook.channel: hook for hook in hooks}

    @property
    def path(self):
        """What stands behind the host in its address."""
        return urlsplit(self.url or "").path

    def __str__(self):
        place = self.url or "not named, so where the hooks go is not checked"
        # The line fits 100 columns with the address of an API.
        said = [f"timeout {self.timeout} ms", f"soft {self.soft_timeout} ms"]
        if len(self.assumed) == len(said):
            return f"{place}  ({', '.join(said)}, assumed)"
        assumed = (" assumed" if name in self.assumed else "" for name in ("timeout", "soft_timeout"))
        return f"{place}  ({', '.join(map(''.join, zip(said, assumed)))})"


def own_hooks():
    hooks = from_xml(OWN_FILE.read_text())
    for hook in hooks:
        for name in ("batch_name", "hook_name"):
            value = getattr(hook, name)
            if not (value.isascii() and value.replace("_", "a").isalnum()):
                raise BadHooks(f"commerce/webhooks.xml: {value!r} is no name for a shop, which takes letters, digits and _")
    return hooks


def bundle_of(options):
    """The bundle as a stack says, or as the command line says; times that nobody says are those of our webhooks.xml."""
    written = own_hooks()[0]
    times = {"timeout": options.hook_timeout_ms, "soft_timeout": options.soft_timeout_ms}
    url, known = None, {}
    if options.url:
        url = web_address("URL", ROUTE.sub("", options.url.rstrip("/")), "https://….execute-api.eu-west-1.amazonaws.com")
    elif not options.xml or options.stack:
        from aws import stack_says  # boto3 takes a third of a second, which only this needs

        stack = options.stack or STACK
        url, said = stack_says(stack)
        times = {name: given or said[name] for name, given in times.items()}
        known = {"stack": stack} | {name: said.get(name) for name in ("invalid_events", "contract", "schemes", "secret")}
    assumed = tuple(name for name, given in times.items() if not given)
    times = {name: given or getattr(written, name) for name, given in times.items()}
    return Bundle(url=url, assumed=assumed, none_required=options.required == "false", **times, **known)
