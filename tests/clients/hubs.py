"""Mirrors of the imitated hub, and the two ways on which its clients reach them."""

from __future__ import annotations

from pathlib import Path

from tests.clients.hub import DATA_SET, MODEL
from tests.imitations.huggingface import Hub
from tests.serving import Mirror
from tests.status.test_setup import evaluated

HOST = "huggingface.co"


def filled(hub: Hub) -> Hub:
    """The hub with a model, a data set, and a gated model, which anna may read."""
    hub.repository("org/model", MODEL)
    hub.repository("org/set", DATA_SET, "dataset")
    hub.repository("org/gated", {"x.bin": b"gated" * 1000, "small.txt": b"small"}, gated=True, readers={"anna"})
    hub.repository("org/secret", {"x.bin": b"secret" * 1000}, private=True, readers={"anna"})
    hub.tokens = {"good": "anna", "other": "bert"}
    return hub


def mirror_of(hub: Hub, data: Path, **settings: object) -> Mirror:
    """A mirror, not yet started, whose upstream the hub is."""
    known: dict[str, object] = {"presets": ["huggingface"], "upstreams": hub.upstreams, "grace": 1}
    return Mirror(data, **known | settings)


def by_url(mirror: Mirror, _: Path) -> dict[str, str]:
    """HF_ENDPOINT alone."""
    return {"HF_ENDPOINT": f"{mirror.url}/{HOST}", "HF_HUB_DISABLE_XET": "1"}


def by_setup(mirror: Mirror, home: Path) -> dict[str, str]:
    """What a shell has after it evaluated /setup.sh."""
    home.mkdir(parents=True, exist_ok=True)
    known, _ = evaluated(mirror.url, home)
    return {name: value for name, value in known.items() if name not in ("HOME", "PATH")}


WAYS = {"url": by_url, "setup.sh": by_setup}
