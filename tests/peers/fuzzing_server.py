"""The Autobahn fuzzing server for tests/integration/conformance.rs, on Python 2.7: fuzzing_server.py OUTDIR [PATTERN TO LEAVE OUT]...

What `wstest -m fuzzingserver` starts, but on a port of 127.0.0.1 that the system chooses, and it ends when its stdin
closes. Prints one line of JSON, {"port": N, "cases": ["1.1.1", ...]}, when it listens; what the suite says goes to stderr.
"""

import json
import sys
import threading

out, sys.stdout = sys.stdout, sys.stderr

from autobahntestsuite.fuzzing import FuzzingServerFactory
from twisted.internet import reactor

# The factory wants a port before there is one.
spec = {"url": "ws://127.0.0.1:1", "outdir": sys.argv[1], "cases": ["*"], "exclude-cases": sys.argv[2:]}
factory = FuzzingServerFactory(spec)
port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
# It compares the port with the Host header of every handshake.
factory.setSessionParameters(url="ws://127.0.0.1:%d" % port, server="AutobahnTestSuite")


def end_with_stdin():
    sys.stdin.read()
    reactor.callFromThread(reactor.stop)


watch = threading.Thread(target=end_with_stdin)
watch.daemon = True
watch.start()
out.write(json.dumps({"port": port, "cases": factory.specCases}) + "\n")
out.flush()
reactor.run()
