"""Make the App, build its page, serve it until Ctrl-C; or do the work of a command without a page.

`launch.py` has installed what this needs; `./webui.sh` runs both.
"""

import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Sequence

from modules.app import App
from modules.errors import WebuiError
from modules.flags import COMMANDS, free_port, read_flags

ANSWER_FIRST = 0.5  # seconds between a program's wish to end the server and its end


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal ends it. Returns the exit code: 2 for a flag that cannot be used."""
    if {*arguments[:1]} & {*COMMANDS}:
        from modules import cli

        return cli.main(arguments)
    try:
        flags = read_flags(arguments)
        if flags.notice:
            print(flags.notice, file=sys.stderr)
        if flags.exit:
            return 0
        port = free_port(flags.address, flags.port, flags.first_port)
        app = App(flags.paths(), None, flags, say=lambda line: print(line, flush=True))
    except WebuiError as error:
        print(error, file=sys.stderr)
        return 2
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is ever fetched without being asked for
    # gradio takes seconds to import: only after what can be refused at once, and it reads the environment
    from modules.server import make_server, serve

    url = f"http://{'127.0.0.1' if flags.address == '0.0.0.0' else flags.address}:{port}"

    def on_ready() -> None:
        print(f"Running on local URL:  {url}", flush=True)
        app.start()
        if flags.autolaunch:
            webbrowser.open(url)

    wishes: list[str] = []

    def end_server(how: str) -> None:
        wishes.append(how)
        threading.Timer(ANSWER_FIRST, signal.raise_signal, (signal.SIGTERM,)).start()

    code = serve(make_server(app, end_server), flags.address, port, on_ready)
    if not app.stop():
        print("A job did not end in time; pictures that were finished are saved.", file=sys.stderr, flush=True)
        if "restart" not in wishes:
            os._exit(code)  # its thread is inside a long calculation, and the interpreter would wait for it or crash
    if "restart" in wishes:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), *arguments, "--port", str(port)])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
