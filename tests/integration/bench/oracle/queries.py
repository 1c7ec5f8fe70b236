"""Parses statements, one a line as JSON on standard input, as Oracle's SQL; prints what each is, or why it is not."""
import json
import logging
import sys

import sqlglot

logging.disable(logging.CRITICAL)
for line in sys.stdin:
    statement = json.loads(line)
    try:
        kinds = [type(tree).__name__ for tree in sqlglot.parse(statement, read="oracle")]
    except sqlglot.errors.ParseError as error:
        kinds = [str(error.errors[0]["description"])]
    print(json.dumps(kinds))
