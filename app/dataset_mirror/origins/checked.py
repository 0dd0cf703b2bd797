"""What requests are checked with, as checks of settings: these have to raise ValueError, else the error would not name their key."""

from collections.abc import Callable

from pydantic import AfterValidator

from dataset_mirror.errors import BadRequest


def checked(normal: Callable[[str], str]) -> AfterValidator:
    """Gives a setting the form that `normal` gives it; what that refuses is a wrong value."""

    def check(written: str) -> str:
        try:
            return normal(written)
        except BadRequest as error:
            raise ValueError(str(error)) from None

    return AfterValidator(check)
