"""How fast a folder becomes searchable, at what peak of memory, and how that compares with the plain LangChain way.

Ours is `llmops ingest` as a user runs it: a cold process on an empty home, until every document is ready or failed.
The plain way is one process too: RecursiveCharacterTextSplitter, sentence-transformers with the same model in batches
of 32, as HuggingFaceEmbeddings calls it, and a persistent Chroma; it reads the files of ours that are text, as they
stand. Source tokens are the encoder's own, counted over the files of both. Memory is the proportional set size of the
process and its children. The encoder's files are exported before anything is measured.

    python benchmarks/ingest.py [--data DIR] [--files N] [--ours-alone]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from llmops.encoder import load_encoder
from llmops.encoder.source import find_model
from llmops.sections import EncoderSettings
from vectorstore.load import loader_for
from vectorstore.sources import walk

LLMOPS = str(Path(sys.executable).parent / "llmops")
PLAIN = "--plain"
BATCH = 32
# Chunks of the splitter that fill the model's 256 tokens, as its users choose them: about four characters a token.
CHUNK_CHARACTERS, OVERLAP = 1000, 100
SLOWEST_SAMPLE = 0.1


class Ran(NamedTuple):
    """A command's output, its seconds and its peak of memory in MB."""

    output: Any
    seconds: float
    peak: float


def run(command: Sequence[str], environment: dict[str, str]) -> Ran:
    """Run a command that prints JSON, and watch its memory."""
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda stream: output.append(stream.read()), args=(process.stdout,))
    reader.start()
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(SLOWEST_SAMPLE)
    reader.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Ran(json.loads(output[0]), time.perf_counter() - began, peak)


def memory(pid: int) -> float:
    """Megabytes that a process and its children hold; what several share is divided among them."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                found = process.memory_full_info()
                total += getattr(found, "pss", found.rss)
    return total / 1e6


def tokens_of(files: Sequence[Path]) -> int:
    """The encoder's tokens in these files, as they stand."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(find_model("minilm").folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return sum(len(tokenizer.encode(file.read_text(encoding="utf-8", errors="replace"), add_special_tokens=False).ids) for file in files)


def plain(folder: Path, where: Path) -> None:
    """The plain LangChain way; prints how many chunks it made. Runs in a process of its own."""
    import chromadb
    from chromadb.config import Settings
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from sentence_transformers import SentenceTransformer

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_CHARACTERS, chunk_overlap=OVERLAP)
    model = SentenceTransformer(str(find_model("minilm").folder), device="cpu")
    client = chromadb.PersistentClient(str(where), settings=Settings(anonymized_telemetry=False))
    collection = client.create_collection("docs", metadata={"hnsw:space": "cosine"})
    texts, sources = [], []
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        pieces = splitter.split_text(file.read_text(encoding="utf-8", errors="replace"))
        texts += pieces
        sources += [str(file.relative_to(folder))] * len(pieces)
    vectors = model.encode(texts, batch_size=BATCH, show_progress_bar=False)
    for first in range(0, len(texts), client.get_max_batch_size()):
        part = slice(first, first + client.get_max_batch_size())
        numbers = range(first, first + len(texts[part]))
        collection.add([str(n) for n in numbers], embeddings=vectors[part], documents=texts[part], metadatas=[{"source": s} for s in sources[part]])
    print(json.dumps({"chunks": collection.count()}))


def chosen_files(folder: Path, most: int | None) -> Iterator[tuple[str, Path]]:
    """The files that a loader knows, spread evenly over the folder where not all are wanted."""
    found = [(one.path, one.file) for one in walk(folder, [], []) if one.kind is not None]
    yield from found if most is None else found[:: max(1, len(found) // most)][:most]


def tell(name: str, ran: Ran, tokens: int, chunks: int) -> None:
    print(f"{name:<24}{ran.seconds:8.1f} s {tokens / ran.seconds:10,.0f} tokens/s {ran.peak:8.0f} MB   {chunks:,} chunks")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=Path(__file__).parent.parent, help="a folder of documents, or one that holds them in docs/")
    options.add_argument("--files", type=int, help="so many files, spread over the folder; default: all")
    options.add_argument("--ours-alone", action="store_true")
    options.add_argument(PLAIN, nargs=2, type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.plain:
        plain(*chosen.plain)
        return
    load_encoder(EncoderSettings.model_validate({}))
    root = chosen.data / "docs" if (chosen.data / "docs").is_dir() else chosen.data
    with tempfile.TemporaryDirectory() as scratch:
        pages, texts = Path(scratch, "pages"), Path(scratch, "texts")
        for path, file in chosen_files(root, chosen.files):
            for copy in (pages, texts) if loader_for(path) != "pdf" else (pages,):
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                (copy / path).write_bytes(file.read_bytes())
        readable = [file for file in texts.rglob("*") if file.is_file()]
        tokens = tokens_of(readable)
        print(f"{sum(file.is_file() for file in pages.rglob('*'))} files, {tokens:,} source tokens in the {len(readable)} that are text")

        environment = {**os.environ, "LLMOPS_HOME": str(Path(scratch, "home")), "HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False"}
        ingest = [LLMOPS, "ingest", str(pages), "--collection", "docs", "--json"]
        cold = run(ingest, environment)
        known = run([LLMOPS, "collections", "show", "docs", "--json"], environment).output
        tell("ours, cold", cold, tokens, known["chunks"])
        tell("ours, nothing changed", run(ingest, environment), tokens, known["chunks"])
        if not chosen.ours_alone:
            langchain = run([sys.executable, __file__, PLAIN, str(texts), str(Path(scratch, "chroma"))], environment)
            tell("plain LangChain", langchain, tokens, langchain.output["chunks"])
            print(f"ours is {langchain.seconds / cold.seconds:.2f} times as fast, with {cold.peak / langchain.peak:.2f} of the memory")
        failed = Counter(failure["error"] for failure in cold.output["failed"])
        print(
            f"{cold.output['ready']} documents ready, {sum(failed.values())} failed"
            + "".join(f"\n  {count:>4} {why}" for why, count in failed.items())
        )


if __name__ == "__main__":
    main()
