"""The four topics, named from two prefixes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Full topic names.

    ``requests`` and ``records`` are the input pair, with equal partition counts; ``completions``
    and ``dead_letters`` are the output.
    """

    requests: str
    records: str
    completions: str
    dead_letters: str

    @classmethod
    def named(cls, prefix: str = "export", output_prefix: str | None = None) -> "Topics":
        """Name the topics: input from ``prefix``, output from ``output_prefix`` or the same."""
        output = prefix if output_prefix is None else output_prefix
        return cls(
            requests=f"{prefix}.requests",
            records=f"{prefix}.records",
            completions=f"{output}.completions",
            dead_letters=f"{output}.dead-letters",
        )
