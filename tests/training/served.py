"""The real server, which begins a run of training by itself once its model is there. The rest of the line is its flags.

`python -m tests.training.served PHOTOS --port 7860 …`
"""

import sys
from pathlib import Path

import webui
from modules.app import App
from modules.jobs import Job
from tests.training.tiny_run import small

NEVER = 10**6  # steps: nobody waits for them


class Training(App):
    """Only the end saves a state: what is found afterwards was written by it."""

    def start(self) -> Job:
        job = super().start()
        self.training.begin(small(Path(sys.argv[1]), steps=NEVER, save_state_every=NEVER, save_embedding_every=0))
        return job


if __name__ == "__main__":
    webui.App = Training
    sys.exit(webui.main(sys.argv[2:]))
