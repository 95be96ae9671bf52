"""Every key in Redis: its name; what it holds and how long it lives is written beside it.

The keys that one script touches share a hash tag, as a Cluster wants them to.
"""


def session(user_id: int, sid: str) -> str:
    """Name a session's copy (JSON) or tombstone; lives until the last token's end + leeway + 60 s."""
    return f"bo:{{u:{user_id}}}:s:{sid}"


def version(user_id: int) -> str:
    """Name a user's session version, only ever raised; lives for the longest token life + margin."""
    return f"bo:{{u:{user_id}}}:v"


def rate_of_session(user_id: int, sid: str) -> str:
    """Name a session's rate limit (the time its bucket is full again, microseconds); lives until then."""
    return f"bo:{{u:{user_id}}}:r:{sid}"


def rate_of_network(network: str) -> str:
    """Name a network's rate limit; likewise."""
    return f"bo:{{n:{network}}}:r"


def attempts_of_pair(account: str, network: str) -> str:
    """Name the attempts of one account from one network (sorted set, by time); lives for the window."""
    return f"bo:{{lg}}:p:{account}:{network}"


def attempts_on_account(account: str) -> str:
    """Name the attempts of one account from networks it is not known from; likewise."""
    return f"bo:{{lg}}:a:{account}"


def attempts_from_network(network: str) -> str:
    """Name the attempts of all accounts from one network; likewise."""
    return f"bo:{{lg}}:i:{network}"
