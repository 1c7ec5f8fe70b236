"""Has Prometheus scrape a running heartbeatd with the rules of deploy/prometheus, and asks it every query of the dashboard:
live.py PROMETHEUS PORT_OF_HEARTBEATD FREE_PORT FOLDER DEPLOY. Prints what is wrong, as a JSON list."""

import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

prometheus, daemon, port, folder, deploy = sys.argv[1:]
folder, deploy = pathlib.Path(folder), pathlib.Path(deploy)
config = {
    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
    "rule_files": [str((deploy / "rules.yml").resolve())],
    "scrape_configs": [{"job_name": "heartbeatd", "static_configs": [{"targets": [f"127.0.0.1:{daemon}"]}]}],
}
(folder / "prometheus.yml").write_text(json.dumps(config))
server = subprocess.Popen(
    [prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    + [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
)


def ask(path, **parameters):
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:  # Prometheus is still starting.
            raise
        return json.load(error)


def eventually(what, look):
    deadline = time.monotonic() + 30
    while True:
        try:
            if found := look():
                return found
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"timed out waiting for {what}")
        time.sleep(0.2)


def rules():
    return [rule for group in ask("rules")["groups"] for rule in group["rules"]]


def expressions(text):
    """The dashboard's queries, with its variables filled in."""
    panels = json.loads(text)["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m").replace("$target", ".*") for query in queries]


faults = []
try:
    eventually("a healthy target in Prometheus", lambda: ask("query", query="heartbeatd_target_healthy == 1")["result"])
    eventually("the rules to be evaluated", lambda: all(rule["health"] != "unknown" for rule in rules()))
    faults += [f"rule {rule['name']}: {rule.get('lastError')}" for rule in rules() if rule["health"] != "ok"]
    recorded_age = lambda: ask("query", query="heartbeatd:heartbeat_age_seconds")["result"]
    age = eventually("the recorded age of the heartbeat", recorded_age)
    if not 0 <= float(age[0]["value"][1]) < 30:
        faults.append(f"the age of the heartbeat is {age}")
    dashboard = (deploy / "dashboard.json").read_text()
    for query in expressions(dashboard):
        answer = ask("query", query=query)
        if answer.get("error"):
            faults.append(f"query {query}: {answer['error']}")
    # A name that Prometheus has never seen is no metric of heartbeatd's, unless heartbeatd itself describes it.
    request = urllib.request.Request(f"http://127.0.0.1:{daemon}/metrics")
    with urllib.request.urlopen(request, timeout=5) as answer:
        exposition = answer.read().decode()
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"], "gauge": [""]}
    described = re.findall(r"^# TYPE (\w+) (\w+)$", exposition, re.M)
    known = {name + ending for name, kind in described for ending in endings[kind]}
    recorded = {rule["name"] for rule in rules()}
    texts = expressions(dashboard) + [rule["query"] for rule in rules()]
    texts += [variable.get("definition", "") for variable in json.loads(dashboard)["templating"]["list"]]
    for text in texts:
        for name in re.findall(r"\bheartbeatd[\w:]+", re.sub(r'"[^"]*"', "", text)):
            if name not in known and name not in recorded:
                faults.append(f"{name} is no metric: {text}")
finally:
    server.terminate()
    server.wait()
print(json.dumps(faults))
