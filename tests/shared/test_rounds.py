"""A few of the rounds that `python -m tests.shared` plays for as long as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared.__main__ import run
from tests.shared.services import MISSING


@pytest.mark.skipif(any(MISSING.values()), reason="; ".join(filter(None, MISSING.values())))
def test_rounds(tmp_path: Path) -> None:
    """Mirrors die, and database and bucket go away: no answer is wrong or short, nothing is lost, and every client gets its archive."""
    # Long for what it starts: three mirrors, a database that is restarted, and several deaths.
    tally = run(10, 3, tmp_path, short=True)
    assert tally.is_clean, str(tally)
    assert tally.right == 10 * 6
