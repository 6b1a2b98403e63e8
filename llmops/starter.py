"""The llmops.toml that `llmops init` writes: every key with its default or an example, all commented out.

A line that begins with `# ` explains; one that begins with `#` alone is configuration: take the `#` away to use it.
"""

from __future__ import annotations

from pathlib import Path

from llmops.errors import Conflict, InvalidInput

STARTER = """\
# Configuration of llmops. Everything here is optional and commented out: what you see is the default, or an example
# where it says so. Take the # away to use a line, or append tables of your own. `llmops config show` prints the result.
# A variable LLMOPS__SECTION__KEY overrides [section] key: LLMOPS__STORE__URL, LLMOPS__ENCODER__BACKEND.
# No secret belongs into this file: name the environment variable or the file that holds it.

# The workspaces of this home. Keys, collections, documents and answers belong to one of them. One of your own says what
# it is for, which decides what each role may do there: { name = "sales", kind = "prod" }, kind being one of these four.
# This line must stand before the first table.
#workspaces = ["poc", "dev", "pipeline", "prod"]

# --- Store: what is kept. Empty means SQLite in the home, the folder .llmops/ beside this file (or LLMOPS_HOME).
# PostgreSQL, for example: postgresql+psycopg://user@host/db, with the password in ~/.pgpass.
# durability = "power" makes every write survive power loss; "process" lets usage and answers survive only a crash.
#[store]
#url = ""
#durability = "process"
#busy_seconds = 30.0

# --- MLflow: where traces and runs go. Empty means SQLite in the home, a file of its own; "off" exports nothing.
# A server, for example: http://mlflow:5000
# MLflow knows no rights to documents: passage_text = true sends it replies and passages nevertheless.
#[mlflow]
#tracking_uri = ""
#experiment = "llmops"
#passage_text = false

# --- Encoder: turns text into vectors. "minilm" is built in; any sentence-transformers model by name or path is good.
# backend: "onnx-int8", or "torch". threads = 0 means one for each core.
# Asymmetric models want prefixes, for example "query: " and "passage: ". languages: those that it reads; as its card says.
#[encoder]
#name = "minilm"
#backend = "onnx-int8"
#query_prefix = ""
#passage_prefix = ""
#languages = ["en"]
#threads = 0

# --- Index: how vectors are searched. "auto" or "exact".
#[index]
#backend = "auto"

# --- Server: what one request may bring. hosts: the names under which clients reach it, as ["llm.example.com"] behind a proxy.
# trusted_proxies: networks whose X-Forwarded-For is believed, for the audit log. An example: ["10.0.0.0/8"]
#[server]
#hosts = []
#trusted_proxies = []
#max_body_mb = 4
#max_upload_mb = 64
#max_question_chars = 32000

# --- Retention: how long things are kept, carried out once a day. Unset is kept. These are examples.
# usage: tokens, costs and timings of answers. originals: the bytes of documents that were withdrawn.
#[retention]
#answers = "400d"
#usage = "400d"
#traces = "30d"
#originals = "90d"

# --- Parsing: what reading one document may cost, in a process of its own, before it is given up as failed.
#[parsing]
#seconds = 30
#memory_mb = 512
#max_pages = 2000

# --- Ray: the cluster of `llmops ingest --engine ray`. An empty address starts one on this machine for the job.
# workers: actors with a CPU each; 0 is one for each CPU of the cluster.
#[ray]
#address = ""
#workers = 0

# --- Outbound: networks that addresses from the API may reach though they are private. An example: ["10.0.0.0/8"]
#[outbound]
#allow = []

# --- Routes: names that chat requests go to. The targets are tried in turn. This one is an example.
# A fresh home has the route "default" with the built-in model "extractive": it answers with sentences of the documents.
# Timeouts are in seconds; first_token and stall bound streams, attempt bounds one target, total the whole call.
#[[routes]]
#name = "large"
#strategy = "fallback"
#workspaces = ["poc", "dev"]
#timeouts = { connect = 5, first_token = 20, stall = 10, attempt = 60, total = 120 }
# Any server that speaks OpenAI's API; the key comes from api_key_env (a variable) or api_key_file (a file's path).
#[[routes.targets]]
#provider = "openai"
#model = "gpt-x"
#base_url = "https://llm.example.com/v1"
#api_key_env = "OPENAI_API_KEY"
#api_key_file = ""
#[[routes.targets]]
#provider = "extractive"

# --- Models: prices in USD per million tokens, for the costs in answers and usage. An example.
#[[models]]
#name = "gpt-x"
#input = 2.50
#output = 10.00

# --- Chains: flows that answer from a collection. A fresh home has this one, "rag", open to every workspace.
#[[chains]]
#name = "rag"
#kind = "rag"
#collection = "docs"
#prompt = "rag-answer"
#route = "default"
#workspaces = ["poc", "dev", "pipeline", "prod"]
#k = 8
"""


def write_starter(directory: str | Path) -> Path:
    """Write the file into a folder, which is made if need be, and return its path. Never overwrites."""
    from llmops.settings import FILE_NAME

    path = Path(directory).expanduser() / FILE_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        if path.exists() or path.is_symlink():
            raise Conflict(f"{path} exists already", hint="it is left as it is; choose another folder, or remove it first") from None
        raise InvalidInput(f"{path.parent} is not a folder", hint="name a folder, or one that can be made") from None
    except (OSError, ValueError) as failure:
        raise InvalidInput(
            f"cannot write {path}: {getattr(failure, 'strerror', None) or failure}", hint="name a folder that can be written"
        ) from None
    return path
