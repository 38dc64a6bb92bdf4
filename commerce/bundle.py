"""The bundle that the shop's hooks post to: where it is, what it was deployed with, and the hooks that it wants."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from credentials import HOOK_OAUTH, OAUTH_GUIDE, HookOauth, enumerated
from hooks import ROUTE, URL_VARIABLE, BadHooks, for_bundle, from_xml
from names import logical_id, routes_of, usual_type, without_magento
from rest import ShopError, web_address
from schemes import needs_token, takes_token

OWN_FILE = Path(__file__).resolve().parent / "webhooks.xml"
TEMPLATE = OWN_FILE.parent.parent / "template.yaml"
STACK = "commerce-webhooks"
# What is known of a stack, beside its address and its times.
KNOWN = ("invalid_events", "contract", "schemes", "secret", "forward_before", "ims_keys_url")


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
    forward_before: str = None
    ims_keys_url: str = None
    # The shop whose hooks these are, by its name in the secret.
    shop: str = None
    # With which the hooks get tokens, and what the secret knows of this shop's: clients and organizations.
    oauth: HookOauth = None
    ims: tuple = None
    # Those of the times that nobody said.
    assumed: tuple = ()
    # Whether hooks are required is what webhooks.xml says, or no hook is.
    none_required: bool = False
    # Channels of webhooks.xml that are left out, each with the reason.
    left_out: tuple = ()

    def hooks(self):
        """The hooks that it wants, by channel."""
        left_out = dict(self.left_out)
        own = [hook for hook in own_hooks() if hook.channel not in left_out]
        hooks = [for_bundle(hook, self.url or URL_VARIABLE, self.timeout, self.soft_timeout) for hook in own]
        if self.none_required:
            hooks = [replace(hook, required=False) for hook in hooks]
        oauth = self.oauth.public if self.oauth and self.takes_token else ()
        hooks = [replace(hook, developer_console_oauth=oauth) for hook in hooks]
        return {hook.channel: hook for hook in hooks}

    def with_subscribed(self, live):
        """The bundle, with the optional channels that the shop has a hook for, if no stack says which of them there are."""
        there = {hook.channel for hook in live}
        return self if self.stack else replace(self, left_out=tuple(one for one in self.left_out if one[0] not in there))

    def with_names_of(self, shop):
        """The bundle's hooks, with the names that the shop has for methods of plugins."""
        hooks = self.hooks()
        if not any(hook.webhook_method.startswith("plugin.") for hook in hooks.values()):
            return hooks
        try:
            supported = shop.supported() or ()
        except ShopError:  # The role may not see the list.
            supported = ()

        def name(method):
            short_name = without_magento(method)
            usual, other = (short_name, method) if shop.is_saas else (method, short_name)
            return other if other in supported and usual not in supported else usual

        return {channel: replace(hook, webhook_method=name(hook.webhook_method)) for channel, hook in hooks.items()}

    @property
    def takes_token(self):
        """Whether the stack looks at tokens, or nobody knows."""
        return self.stack is None or takes_token(self.schemes)

    @property
    def needs_token(self):
        """Whether the stack is known to take no event without a token."""
        return self.stack is not None and needs_token(self.schemes)

    def with_oauth(self, oauth):
        """The bundle with the credentials for its hooks. Raises ShopError if its stack needs them and there are none."""
        if self.needs_token and oauth is None:
            raise ShopError(
                f"the stack {self.stack} takes no event without a token of Adobe IMS (SignatureSchemes={self.schemes}), and the credentials "
                f"for the hooks are missing in the environment: {enumerated(tuple(HOOK_OAUTH.values()))}.",
                remedy=f"How to get them: {OAUTH_GUIDE}.",
            )
        return replace(self, oauth=oauth)

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
    url, known, outputs = None, {}, None
    if options.url:
        url = web_address("URL", ROUTE.sub("", options.url.rstrip("/")), "https://….execute-api.eu-west-1.amazonaws.com")
    elif not options.xml or options.stack:
        from aws import stack_says  # boto3 takes a third of a second, which only this needs

        stack = options.stack or STACK
        url, said = stack_says(stack)
        times = {name: given or said[name] for name, given in times.items()}
        known = {"stack": stack} | {name: said.get(name) for name in KNOWN}
        outputs = said.get("outputs")
    assumed = tuple(name for name, given in times.items() if not given)
    times = {name: given or getattr(written, name) for name, given in times.items()}
    return Bundle(
        url=url,
        assumed=assumed,
        none_required=options.required == "false",
        shop=options.shop_name,
        left_out=tuple(left_out(outputs, options.channel).items()),
        **times,
        **known,
    )


def left_out(outputs, chosen=None):
    """The channels that the stack does not have, with the reason. Without the names of its outputs, those that the template makes only
    on a condition, except a chosen one."""
    optional, reasons = optional_channels(), {}
    for hook in own_hooks():
        channel = hook.channel
        switch = optional.get(channel)
        if outputs is not None and f"{logical_id(channel)}Url" not in outputs:
            how = f"deploy with {switch}" if switch else "deploy it from this checkout: make deploy"
            reasons[channel] = f"{channel} is left out, because the stack does not have it. To switch it on, {how}."
        elif outputs is None and switch and channel != chosen:
            reasons[channel] = f"{channel} is left out, because it is optional. If the stack has {switch}, add CHANNEL={channel}."
    return reasons


def optional_channels():
    """The channels that the template makes only on a condition, with the parameter that switches each on, as in `Name=true`."""
    text = TEMPLATE.read_text()
    switches = dict(re.findall(r'^  (\w+): !Equals \[!Ref (\w+), "?true"?\]', text, re.MULTILINE))
    resources = dict(re.findall(r"^  (\w+):\n(?:    (?!Condition:).*\n)*?    Condition: (\w+)$", text, re.MULTILINE))
    found = {}
    for hook in own_hooks():
        condition = resources.get(logical_id(hook.channel))
        if condition:
            found[hook.channel] = f"{switches[condition]}=true" if condition in switches else f"the condition {condition}"
    return found


def methods():
    """The method and the type of the hook of each channel in webhooks.xml."""
    return {hook.channel: (hook.webhook_method, hook.webhook_type) for hook in own_hooks()}


def route_of(channel):
    """The path of the channel's first route."""
    method, hook_type = methods().get(channel, (f"observer.{channel}", usual_type(channel)))
    return routes_of(method, hook_type)[0]


def channel_named(name):
    """The channel with this name, or the one whose method this is, with or without `magento`; otherwise the name as it is."""
    for channel, (method, _) in methods().items():
        if channel == name.removeprefix("observer.") or without_magento(name) == without_magento(method):
            return channel
    return name.removeprefix("observer.")
