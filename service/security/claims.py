"""What a token says."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is (`user_id`), of which session (`sid`), which one (`jti`), from when to when."""

    user_id: int
    sid: str
    jti: str
    version: int
    issued_at: datetime
    expires_at: datetime
