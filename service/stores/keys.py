"""Every key in Redis: its name; what it holds and how long it lives is written beside it.

The keys that one script touches share a hash tag, so that all of this works in a Cluster.
"""


def session(user_id: int, sid: str) -> str:
    """Name a session's copy (JSON) or tombstone; lives until the last token's end + leeway + 60 s."""
    return f"bo:{{u:{user_id}}}:s:{sid}"


def version(user_id: int) -> str:
    """Name a user's session version, only ever raised; lives for the longest token life + margin."""
    return f"bo:{{u:{user_id}}}:v"


def attempts(account: str, network: str) -> str:
    """Name the attempts of one account from one network (sorted set, by time); lives for the window."""
    return f"bo:{{lg}}:p:{account}:{network}"
