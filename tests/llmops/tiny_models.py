"""Small sentence-transformers models with random weights, made on the spot: no test needs the network for one."""

import string
from pathlib import Path

LETTERS = [*string.ascii_lowercase, *string.digits, *".,;:?!'-()[]{}+=<>€", "the", "and", "of"]
PROMPTS = {"query": "query: ", "document": "passage: "}


def save_tiny(folder: Path, *, pooling: str = "cls", prompts: dict[str, str] | None = None, dense: bool = False, seed: int = 0) -> Path:
    """A BERT of one layer and 32 dimensions that reads 24 tokens."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(seed)
    raw = folder.with_name(f"{folder.name}.raw")
    raw.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in string.ascii_lowercase + string.digits)]
    (raw / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(raw)
    BertTokenizerFast(str(raw / "vocab.txt")).save_pretrained(raw)
    modules = [Transformer(str(raw), max_seq_length=24), Pooling(32, pooling)]
    if dense:
        modules.append(Dense(32, 16))
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder), create_model_card=False)
    return folder
