"""Lines for a shell, in sources, notebooks and files of their own: what they fetch."""

import re
from collections.abc import Iterator

from dataset_mirror.airgap.preflight.subjects import Address, Subject, Unclear
from dataset_mirror.airgap.preflight.urls import urls_in

_FETCHING = re.compile(
    r"(?<![\w./-])(?:\S{0,255}/)?(wget2?|curl|aria2c|axel|http|https|lwp-download|gdown|gsutil|gcloud storage|aws s3|s3cmd|rclone|azcopy"
    r"|kaggle|huggingface-cli|hf|git(?:\s+-\S+)* (?:clone|pull|fetch|submodule|lfs)|dvc|rsync|scp|sftp|ftp|spacy download|nltk\.downloader"
    r"|gensim\.downloader|tfds|youtube-dl|yt-dlp|fastai|openml|osf|zenodo_get|dataverse|gh (?:release|repo))(?=\s|$)"
)
"""Its folder is no longer than that: a script may have a word of a million letters."""
_RUNNING = re.compile(
    r"(?:ba|z|da|k)?sh|source|\.|g?make|python[\d.]*|perl|ruby|Rscript|julia|node|np[mx]|yarn|pnpm|(?:micro)?(?:conda|mamba)|pip[\d.]*|pipx|uvx?"
    r"|poetry|docker|podman|apptainer|singularity|apt(?:-get)?|brew|yum|dnf|apk|snakemake|nextflow|papermill|jupyter|torchrun|accelerate"
    r"|deepspeed|srun|sbatch|mpi(?:run|exec)|horovodrun|cargo|go|run|cmake|ninja|bazel|gradlew?|mvn|eval|ssh|parallel|\S+\.(?:sh|py|bash|pl|R|ipynb)"
)
_OWN = re.compile(r"\.{1,2}/|~/|\$\{?\w|(?!/(?:usr/)?s?bin/)/(?:[\w.-]+/)+[\w.-]+$")
"""A program by its path, outside the system's folders, or in a variable."""
_HARMLESS = re.compile(r"\s(?:--version|-V|--help|-h)\b")
_BEFORE = re.compile(r"(?:(?:sudo|env|time|nohup|nice|exec|command|then|do|else)\s+|\w+=\S*\s+|[%!]+\s*|[\w, ]+=\s*[!%]+\s*)*")
_PLAIN = ("wget", "curl", "aria2c", "axel")
"""Programs that fetch the URLs that their line names, by GET."""
_OPEN = re.compile(r"[${}*\[]")


def fetched(text: str) -> Iterator[Subject]:
    """What a text for a shell asks for, without the URLs that merely stand in it."""
    yield from (Unclear(f"{program}, which runs code that is not here, or installs some") for program in runs(text))
    for program, urls in commands(text):
        yield from (Address(url, certain=True) for url in urls)
        if not urls:
            yield Unclear(f"{program}: what it fetches is not told by its line")


def of_line(line: str) -> Iterator[Subject]:
    """What a line for a shell, or for another interpreter, asks for."""
    found = list(fetched(line))
    yield from found
    yield from (Address(url) for url in urls_in(line) if Address(url, certain=True) not in found)


def logical(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, from 1; those that a backslash continues are one. Comments are left out."""
    begun, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start if begun else number
        if line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith("\\"):
            begun += line.rstrip()[:-1] + " "
            continue
        yield start, (begun + line).strip().lstrip("@-+").strip()
        begun = ""
    if begun:
        yield start, begun


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each program of a text that fetches something, with the URLs that it surely asks for; none if nobody can tell which."""
    for line in _lines(text):
        programs = [match[1] for match in _FETCHING.finditer(line)]
        if programs:
            urls = urls_in(line)
            plain = all(program in _PLAIN for program in programs) and not any(_OPEN.search(url) for url in urls)
            yield programs[0], urls if plain and not _from_elsewhere(line) else []


def runs(text: str) -> Iterator[str]:
    """Programs of a text that run code which is not in it, such as `bash get.sh`, or that install something."""
    for line in _lines(text):
        for command in re.split(r"(?<!\|)\|(?!\|)", line):
            stripped = command.strip()
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
