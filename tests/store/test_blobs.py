"""What any store of blobs promises, and the one on a disk."""

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from dataset_mirror.store.blobs import Blobs

DATA = b"the bytes of an archive"
DIGEST = hashlib.sha256(DATA).hexdigest()


class BlobsCompliance(ABC):
    """The promises of `Blobs`. A second engine runs them by a subclass that says how it is opened."""

    @abstractmethod
    def opened(self, folder: Path) -> Blobs:
        """The blobs of that folder; called again, the same ones after a restart."""

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return self.opened(tmp_path / "blobs")

    @pytest.fixture
    def partial(self, tmp_path: Path) -> Path:
        path = tmp_path / "partial-1"
        path.write_bytes(DATA)
        return path

    def test_a_blob_is_found_by_its_digest(self, blobs: Blobs, partial: Path) -> None:
        """What was put in can be read, and the partial file is consumed."""
        blobs.put(partial, DIGEST)
        assert blobs.has(DIGEST)
        with blobs.open(DIGEST) as file:
            assert file.read() == DATA
        assert not partial.exists()

    def test_a_blob_that_is_not_there(self, blobs: Blobs) -> None:
        """A missing blob is not there, cannot be opened, and is no member."""
        assert not blobs.has(DIGEST)
        assert list(blobs) == []
        with pytest.raises(FileNotFoundError):
            blobs.open(DIGEST)

    def test_equal_bytes_are_kept_once(self, blobs: Blobs, partial: Path) -> None:
        """Putting the same bytes again is no error, and consumes the second file too."""
        again = partial.with_name("partial-2")
        again.write_bytes(DATA)
        blobs.put(partial, DIGEST)
        blobs.put(again, DIGEST)
        assert list(blobs) == [(DIGEST, len(DATA))]
        assert not again.exists()

    def test_a_put_restores_a_blob_that_was_removed_meanwhile(self, blobs: Blobs, partial: Path) -> None:
        """The bytes of every put really arrive: a removal between two of them loses nothing."""
        again = partial.with_name("partial-2")
        again.write_bytes(DATA)
        blobs.put(partial, DIGEST)
        with blobs.open(DIGEST) as first:
            blobs.put(again, DIGEST)
            blobs.remove(DIGEST)
            assert first.read() == DATA
        assert not blobs.has(DIGEST)

    def test_removing_leaves_readers_their_bytes(self, blobs: Blobs, partial: Path) -> None:
        """Who has a blob open reads on; nobody else finds it; removing it again is harmless."""
        blobs.put(partial, DIGEST)
        with blobs.open(DIGEST) as file:
            blobs.remove(DIGEST)
            blobs.remove(DIGEST)
            assert file.read() == DATA
        assert not blobs.has(DIGEST)

    def test_all_blobs_are_listed_with_their_sizes(self, blobs: Blobs, tmp_path: Path) -> None:
        """Every blob is a member once, with its digest and its size in bytes."""
        contents = [bytes(size) for size in range(20)]
        for number, content in enumerate(contents):
            path = tmp_path / f"partial-{number}"
            path.write_bytes(content)
            blobs.put(path, hashlib.sha256(content).hexdigest())
        assert sorted(blobs) == sorted((hashlib.sha256(content).hexdigest(), len(content)) for content in contents)

    def test_blobs_survive_a_restart(self, blobs: Blobs, partial: Path, tmp_path: Path) -> None:
        """Opening the same folder again finds the same blobs."""
        blobs.put(partial, DIGEST)
        assert list(self.opened(tmp_path / "blobs")) == [(DIGEST, len(DATA))]


class TestBlobsOnDisk(BlobsCompliance):
    """Files in a folder."""

    def opened(self, folder: Path) -> Blobs:
        return Blobs(folder)

    def test_where_a_blob_is(self, blobs: Blobs, partial: Path, tmp_path: Path) -> None:
        """A blob is the file blobs/sha256/ab/abcdef…, so that people and other programs find it."""
        blobs.put(partial, DIGEST)
        assert blobs.path(DIGEST) == tmp_path / "blobs" / "sha256" / DIGEST[:2] / DIGEST
        assert blobs.path(DIGEST).read_bytes() == DATA

    def test_a_new_folder_is_durable(self, blobs: Blobs, partial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After the first blob every folder above it is on the disk under its name, too."""
        synced: list[Path] = []
        monkeypatch.setattr("dataset_mirror.store.blobs.sync_folder", synced.append)
        blobs.put(partial, DIGEST)
        assert set(blobs.path(DIGEST).parents[:4]) <= set(synced)

    def test_a_put_renames_and_does_not_copy(self, blobs: Blobs, partial: Path) -> None:
        """The blob is the very file that was written, even where one of that name exists already."""
        old = blobs.path(DIGEST)
        old.parent.mkdir(parents=True)
        old.write_bytes(DATA)
        written = partial.stat().st_ino
        blobs.put(partial, DIGEST)
        assert blobs.path(DIGEST).stat().st_ino == written
