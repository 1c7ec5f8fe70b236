"""Reads reports as CI servers do, with their libraries, and prints what these found as JSON: read.py junit|sarif FILE."""

import json
import sys


def junit(path):
    from junitparser import Error, Failure, JUnitXml, Skipped

    words = {Error: "error", Failure: "failure", Skipped: "skipped"}
    cases = []
    for suite in JUnitXml.fromfile(path):
        for case in suite:
            result = [words[type(one)] for one in case.result] or ["passed"]
            cases.append(
                {
                    "suite": suite.name,
                    "class": case.classname,
                    "name": case.name,
                    "result": result[0],
                    "text": "".join(one.text or "" for one in case.result) + (case.system_out or ""),
                }
            )
    return cases


def sarif(path):
    from sarif import loader

    return loader.load_sarif_file(path).get_records()


print(json.dumps({"junit": junit, "sarif": sarif}[sys.argv[1]](sys.argv[2])))
