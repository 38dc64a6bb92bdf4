"""What SignatureSchemes of a stack asks of an event: a signature, a token of Adobe IMS, or both."""

DEFAULT, ACCEPT_UNSIGNED, TOKEN = "hmac,rsa", "accept-unsigned", "ims"


def ways(schemes):
    """The ways in which an event can be verified, each as the set of what it needs. With `accept-unsigned` there is none."""
    if schemes == ACCEPT_UNSIGNED:
        return []
    return [frozenset(part.strip() for part in way.split("+")) for way in (schemes or DEFAULT).split(",") if way.strip()]


def takes_token(schemes):
    """Whether a token counts, alone or with a signature."""
    return any(TOKEN in way for way in ways(schemes))


def needs_token(schemes):
    """Whether no event is accepted without a token."""
    return bool(ways(schemes)) and all(TOKEN in way for way in ways(schemes))
