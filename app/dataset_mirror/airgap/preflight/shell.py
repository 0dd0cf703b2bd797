"""Command lines in sources and notebooks: what they fetch."""

import re
from collections.abc import Iterator

_FETCHING = re.compile(
    r"(?<![\w./-])(?:\S*/)?(wget|curl|aria2c|axel|http|https|lwp-download|gdown|gsutil|gcloud storage|aws s3|s3cmd|rclone|azcopy|kaggle"
    r"|huggingface-cli|hf|git(?:\s+-\S+)* (?:clone|pull|fetch|submodule|lfs)|dvc|rsync|scp|sftp|ftp|spacy download|nltk\.downloader"
    r"|gensim\.downloader|tfds|youtube-dl|yt-dlp|fastai|openml|osf|zenodo_get|dataverse|gh (?:release|repo))(?=\s|$)"
)
_URL = re.compile(r"https?://[^\x00-\x20\x7f-\xa0\"'<>`|\\;)]+", re.IGNORECASE)
_PLAIN = ("wget", "curl", "aria2c", "axel")
"""Programs that fetch the URLs that their line names, by GET."""
_OPEN = re.compile(r"[${}*\[]")


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each program of a text that fetches something, with the URLs that it surely asks for; none if nobody can tell which."""
    for line in _lines(text):
        programs = [match[1] for match in _FETCHING.finditer(line)]
        if programs:
            urls = [url.rstrip(".,;:)]") for url in _URL.findall(line)]
            plain = all(program in _PLAIN for program in programs) and not any(_OPEN.search(url) for url in urls)
            yield programs[0], urls if plain and not _from_elsewhere(line) else []


def _lines(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    return [line for line in re.split(r"[\n;]|&&|\|\|", joined) if line.strip() and not line.lstrip().startswith("#")]


def _from_elsewhere(line: str) -> bool:
    """Whether a program reads its URLs from a file, follows links, or sends something."""
    return (
        re.search(
            r"\s(?:-i|--input-file|-r|-m|--mirror|--recursive|-K|--config|-d|--data\S*|-F|--form|-X|--request|-T|--upload-file)\b", line
        )
        is not None
    )


def fetches(program: str) -> bool:
    """Whether a program of that name fetches something."""
    return _FETCHING.fullmatch(program) is not None
