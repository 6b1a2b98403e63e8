"""T35: segments that were derived from other rows are not believed, however much their counts agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from tests.vectorstore.filled import fill, new_version, random_vectors
from tests.vectorstore.invariants import check_collection
from vectorstore.index.segment import Segment, codes_of
from vectorstore.index.segments import folder_of, open_segments, write_segments
from vectorstore.rows import changes, vectors
from vectorstore.rows.changes import text_number
from vectorstore.tables import chunks, versions

COUNT = 300


@pytest.fixture
def collection(store_home):
    """A collection with a segment over documents of one chunk each."""
    found = fill(store_home, "docs", [new_version(f"{n}", f"record {n} of the archive") for n in range(COUNT)])
    write_segments(store_home, found)
    assert opened(store_home, found) == [COUNT]
    return found


def opened(home, collection):
    """How many chunks each segment holds that is believed."""
    return [len(segment.rows) for segment in home.store.read(lambda c: open_segments(c, folder_of(home, collection), collection))]


def test_t35_other_texts_under_the_same_rows_are_noticed(store_home, collection, caplog):
    """As after a restored backup: the same collection and the same row numbers, but one text is another."""
    text = "something else altogether"
    changed = new_version("7", text)

    def replace(connection):
        row = connection.execute(chunks.select().limit(1).offset(7)).one()
        vectors.keep(connection, collection.encoder, random_vectors(store_home, [changed]))
        new_hash = changed.chunks[0].text_hash
        values = {"text_hash": new_hash, "text_number": text_number(new_hash), "end": len(text)}
        connection.execute(update(chunks).where(chunks.c.row == row.row).values(values))
        connection.execute(update(versions).where(versions.c.document_row == row.document_row).values(text=text, title="Page 7"))

    store_home.store.write(replace)
    assert opened(store_home, collection) == []
    assert "does not agree with the rows" in caplog.text
    check_collection(store_home, "docs", [text])
    caplog.clear()
    write_segments(store_home, collection)
    assert opened(store_home, collection) == [COUNT]


def test_t35_the_same_texts_in_another_order_are_noticed(store_home, collection):
    def swap(connection):
        first, second = connection.execute(chunks.select().order_by(chunks.c.row).limit(2)).all()
        for one, other in ((first, second), (second, first)):
            values = {"text_hash": other.text_hash, "text_number": other.text_number}
            connection.execute(update(chunks).where(chunks.c.row == one.row).values(values))

    store_home.store.write(swap)
    assert opened(store_home, collection) == []


def test_the_sum_over_rows_is_that_over_arrays(store_home, collection):
    def both(connection):
        (segment,) = open_segments(connection, folder_of(store_home, collection), collection)
        return segment.checksum, changes.checksum(connection, collection.row, int(segment.rows[0]), int(segment.rows[-1]))

    arrays, rows = store_home.store.read(both)
    assert arrays == rows and arrays.content > 0


def test_the_check_itself_sees_one_chunk_of_many_whose_vector_is_another_s(home):
    """A damage that no checksum tells, for the segment was written so: a sample would most likely pass it by."""
    found = fill(home, "docs", [new_version(f"{n}", f"record {n} of the archive") for n in range(COUNT)])
    rows = home.store.read(lambda c: list(changes.new_chunks(c, found.row, found.encoder, 0, found.seq)))
    segment = Segment.of_rows(rows, home.encoder.dimension)
    check_collection(home, "docs", ["record"])
    wrong = segment.vectors.copy()
    wrong[7] = wrong[11]
    replace(segment, vectors=wrong, codes=codes_of(wrong)).save(folder_of(home, found), found.id, found.encoder)
    assert opened(home, found) == [COUNT]
    with pytest.raises(AssertionError, match="not found by their own vectors"):
        check_collection(home, "docs", [])


def test_what_cannot_be_used_is_removed_and_named(store_home, collection, caplog):
    folder = folder_of(store_home, collection)
    for name in ("000000000001-000000000009", ".000000000001-000000000300.77", "1-2-3"):
        (folder / name).mkdir()
    write_segments(store_home, collection)
    assert len(list(folder.iterdir())) == 1
    for name in ("000000000001-000000000009", ".000000000001-000000000300.77", "1-2-3"):
        assert str(folder / name) in caplog.text


def test_t35_a_new_store_under_a_used_home_is_searched_rightly(settings, cli, tmp_path):
    """The store's file is gone and the indexes stay: other texts of the same number must not be found by the old ones' index."""
    for word in ("archive", "harvest"):
        for file in settings.home.glob("llmops.db*"):
            if word == "harvest":
                file.unlink()
        rows = tmp_path / f"{word}.csv"
        rows.write_text("id,text\n" + "".join(f"{word}{n},the {word} item {n * 7 % 300}\n" for n in range(260)))
        assert cli("ingest", rows, "--collection", "docs", "--source", "rows", "--id-field", "id", "--text-field", "text").rc == 0
    found = cli("search", "the harvest item 70", "--collection", "docs", "-k", 3, "--json")
    assert found.stderr == "" and {hit["text"] for hit in found.json["hits"]} >= {"the harvest item 70"}
    from llmops.home import Home

    with Home(settings) as home:
        check_collection(home, "docs", ["harvest item 12"])
