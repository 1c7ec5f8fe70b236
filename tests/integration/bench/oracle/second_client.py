"""Oracle's own client for Python, thin: logs in to the double, beats by heartbeatd's block and looks at the row."""
import json
import sys

import oracledb

port, user, password, service = sys.argv[1:5]
block = sys.stdin.read()
place = f"127.0.0.1:{port}/{service}"
numbers = ["seen", "changed", "stale", "previous", "value", "server_time"]
texts = ["position", "role"]


def run(cursor, writing):
    given = dict(row_id=1, writing=writing, last_seen=None, oldest=45_000_000, step=900_000_000, tolerance=45_000_000,
                 furthest=50_400_000_000, lock_wait=8)
    out = {name: cursor.var(int) for name in numbers} | {name: cursor.var(str) for name in texts}
    cursor.execute(block, given | out)
    return {name: variable.getvalue() for name, variable in out.items()}


def refusal(secret):
    try:
        oracledb.connect(user=user, password=secret, dsn=place)
    except oracledb.DatabaseError as error:
        return error.args[0].full_code
    return None


connection = oracledb.connect(user=user, password=password, dsn=place)
cursor = connection.cursor()
looks = [run(cursor, writing) for writing in (2, 2, 0)]
version, thin = connection.version, connection.thin
connection.close()
print(json.dumps({"thin": thin, "version": version, "looks": looks, "refused": refusal("wrong")}))
