"""What a run's design allows to say of its champion, whatever its figures come to, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def design_in_words(others: Sequence[str], unsaid: Mapping[str, str]) -> list[str]:
    """Sentences. `others`: what the champion is compared with; `unsaid`: what cannot be said, each with the reason."""
    *first, last = others
    listed = f"{', '.join(first)} and {last}" if first else last
    return [
        f"By its design this run can say how the champion stands to {listed}.",
        *(f"It cannot say {what}: {reason}." for what, reason in unsaid.items()),
    ]
