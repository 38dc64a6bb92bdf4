"""The names of a channel, all derived from the event's name in Commerce (its webhook method) and the type of its hook.

    observer.sales_order_place_after, after                      sales_order_place_after
    observer.catalog_product_save_after, before                  catalog_product_save_after_before
    plugin.magento.sales.api.order_management.place, before      plugin_sales_api_order_management_place
    plugin.magento.sales.api.order_management.place, after       plugin_sales_api_order_management_place_after

The name is that of the folder, the Cargo package, the binary, the rules' folder in the layer and the message attribute `channel`.
"""

import hashlib
import re

METHOD = re.compile(r"(observer\.[a-z0-9_]+|plugin(\.[a-z0-9_]+){2,})")
# A Lambda function's name has at most 64 characters.
NAME_CHARS_MAX = 64
HASH_CHARS = 8


def usual_type(method):
    """The type of the hook if nobody says another one: what the name says, and `before` for a plugin."""
    return "before" if method.startswith("plugin.") or method.endswith("_before") else "after"


def without_magento(method):
    """The name of a plugin's method in Adobe Commerce as a Cloud Service; any other name stays as it is."""
    return re.sub(r"^plugin\.magento\.", "plugin.", method)


def channel_of(method, hook_type):
    """The channel of an event."""
    name = without_magento(method).removeprefix("observer.").replace(".", "_")
    if hook_type != usual_type(method):
        name += f"_{hook_type}"
    if len(name) <= NAME_CHARS_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:HASH_CHARS]
    return f"{name[: NAME_CHARS_MAX - HASH_CHARS - 1].rstrip('_')}_{digest}"


def routes_of(method, hook_type):
    """The paths of the routes of an event. Both names of a plugin's method lead to the same channel."""
    suffix = "" if hook_type == usual_type(method) else f"/{hook_type}"
    return [f"/webhook/{name}{suffix}" for name in dict.fromkeys([method, without_magento(method)])]


def logical_id(channel):
    """The channel in CloudFormation and as a Rust type: letters and digits only."""
    return "".join(word[:1].upper() + word[1:] for word in channel.split("_"))
