"""A placeholder for the value of a message that is too large, or in a broken batch."""


class UnreadValue(bytes):
    """Stands for a value whose beginning alone is held; ``why`` goes into its dead letter."""

    why: str
    too_large: bool

    def __new__(cls, why: str, beginning: bytes = b"", *, too_large: bool) -> "UnreadValue":
        """Its bytes are those of the beginning."""
        unread = super().__new__(cls, beginning)
        unread.why, unread.too_large = why, too_large
        return unread


def too_large(size_bytes: int, most_bytes: int, beginning: bytes = b"") -> UnreadValue:
    """The placeholder for the value of a record of so many bytes."""
    why = f"the message has {size_bytes} bytes, more than {most_bytes}"
    return UnreadValue(why, beginning, too_large=True)
