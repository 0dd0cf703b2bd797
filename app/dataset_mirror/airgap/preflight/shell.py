"""Command lines in sources and notebooks: what they fetch."""

import re
from collections.abc import Iterator

_FETCHING = re.compile(
    r"(?<![\w./-])(?:\S*/)?(wget2?|curl|aria2c|axel|http|https|lwp-download|gdown|gsutil|gcloud storage|aws s3|s3cmd|rclone|azcopy|kaggle"
    r"|huggingface-cli|hf|git(?:\s+-\S+)* (?:clone|pull|fetch|submodule|lfs)|dvc|rsync|scp|sftp|ftp|spacy download|nltk\.downloader"
    r"|gensim\.downloader|tfds|youtube-dl|yt-dlp|fastai|openml|osf|zenodo_get|dataverse|gh (?:release|repo))(?=\s|$)"
)
_URL = re.compile(r"https?://[^\x00-\x20\x7f-\xa0\"'<>`|\\;)]+", re.IGNORECASE)
_RUNNING = re.compile(
    r"(?:ba|z|da|k)?sh|source|\.|g?make|python[\d.]*|perl|ruby|Rscript|julia|node|np[mx]|yarn|pnpm|(?:micro)?(?:conda|mamba)|pip[\d.]*|pipx|uvx?"
    r"|poetry|docker|podman|apptainer|singularity|apt(?:-get)?|brew|yum|dnf|apk|snakemake|nextflow|papermill|jupyter|torchrun|accelerate"
    r"|deepspeed|srun|sbatch|mpi(?:run|exec)|horovodrun|cargo|go|run|cmake|ninja|bazel|gradlew?|mvn|eval|ssh|parallel|\S+\.(?:sh|py|bash|pl|R|ipynb)"
)
_OWN = re.compile(r"\.{1,2}/|~/|\$\{?\w|(?!/(?:usr/)?s?bin/)/(?:[\w.-]+/)+[\w.-]+$")
"""A program by its path, outside the system's folders, or in a variable."""
_HARMLESS = re.compile(r"\s(?:--version|-V|--help|-h)\b")
_CELLS = ("%%bash", "%%sh", "%%script bash", "%%script sh")
_BEFORE = re.compile(r"(?:(?:sudo|env|time|nohup|nice|exec|command|then|do|else)\s+|\w+=\S*\s+|[%!]+\s*|[\w, ]+=\s*[!%]+\s*)*")
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


def runs(text: str) -> Iterator[str]:
    """Programs of a text that run code which is not in it, such as `bash get.sh`, or that install something."""
    for line in _lines(text):
        for command in re.split(r"(?<!\|)\|(?!\|)", line):
            stripped = command.strip()
            if stripped.startswith(_CELLS):
                continue  # what follows is its text
            words = stripped[len((_BEFORE.match(stripped) or [""])[0]) :].split()
            word = words[0].strip("'\"") if words else ""
            program = word.rpartition("/")[2] or word
            is_text = re.search(r"\s-\w*c\s", command) is not None and program.endswith("sh")
            runs_more = _RUNNING.fullmatch(program) is not None or _OWN.match(word) is not None
            if runs_more and not is_text and not _HARMLESS.search(command) and not _FETCHING.search(command):
                yield program


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
