"""Parquet: one row a tag, for pandas, DuckDB, Polars and their like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from tagline.tagging.formats import merging
from tagline.tagging.formats.sheet import BadFile, ImportedVideo, VideoExport

if TYPE_CHECKING:
    import pyarrow

MOST_BYTES = merging.MOST_BYTES
MOST_ROWS = 50_000_000
AT_ONCE = 20_000  # rows in memory
NUMBERS = ("score", "start", "end", "best")


def write(out: BinaryIO, sheets: Iterable[VideoExport], videos: frozenset[str], old: BinaryIO | None) -> None:
    """All tags of `sheets`, merged into what is there; further columns keep their types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64() if name in NUMBERS else pa.string()) for name in merging.FIELDS])
    before: Iterator[merging.Row] = iter(())
    if old is not None:
        file = _open(old)
        theirs = [field for field in file.schema_arrow if field.name not in schema.names]
        schema = pa.schema([*schema, *theirs], metadata=file.schema_arrow.metadata)
        before = _rows(file)
    merged = merging.merge_rows(before, sheets, videos)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while chunk := list(islice(merged, AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


def read(source: BinaryIO) -> list[ImportedVideo]:
    return merging.videos_in_rows(_rows(_open(source)))


def _open(source: BinaryIO) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(source)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadFile(f"is not Parquet ({str(error).splitlines()[0][:100]})") from None
    if "text" not in file.schema_arrow.names:
        raise BadFile("has no column called text")
    unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if file.metadata.num_rows > MOST_ROWS or unpacked > 4 * MOST_BYTES:
        raise BadFile(f"holds {file.metadata.num_rows} rows, more than can be read safely")
    return file


def _rows(file: Any) -> Iterator[merging.Row]:
    import pyarrow as pa

    try:
        batch: pyarrow.RecordBatch
        for batch in file.iter_batches(batch_size=AT_ONCE):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadFile(f"is broken ({str(error).splitlines()[0][:100]})") from None
