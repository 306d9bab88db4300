"""Flask that answers with documents it was given, as an application would that has its metadata in a constant.

``benchmarks/issuing/documents.py`` starts it; the file that ``BENCHMARK`` names has a document for each path.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response

app = Flask(__name__)


def answering(document: dict[str, Any]) -> Callable[[], Response]:
    """A view that always answers the same."""
    body, headers = document["body"].encode("utf-8"), document["headers"]
    return lambda: Response(body, headers=headers)


for path, each in json.loads(Path(os.environ["BENCHMARK"]).read_text(encoding="utf-8")).items():
    app.add_url_rule(path, endpoint=path, view_func=answering(each))
