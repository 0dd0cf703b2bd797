"""How an origin asks back before it sends a file, and how it says that it will not: by pages, where its files are never pages."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dataset_mirror.origins.lists import as_list

Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_list)]


class Confirm(BaseModel):
    """What the pages of an origin mean that come in the place of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Annotated[Texts, Field(min_length=1)]
    """The `id` of the form, or of the link, that a page asks back with; it is followed once, and the page is never kept."""
    busy: Texts = ()
    """Texts of a page that means: not now, too many have asked."""
    sign_in: Texts = ()
    """Hosts to which the origin redirects for a sign-in: nobody without an account there gets the file."""
