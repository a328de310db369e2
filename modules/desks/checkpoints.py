"""Files that may be models: listed, chosen by title, hashed. Nothing here loads one; that is `modules.desks.models`."""

from collections.abc import Callable
from pathlib import Path

from modules.errors import ModelMissing, ParameterError, WebuiError
from modules.events import Noticed, Progressed, Request, Work
from modules.flags import Flags
from modules.model.checkpoint import Checkpoint, choose, ensure_hash, find_checkpoints
from modules.model.hashes import HashCache
from modules.model_state import Advice
from modules.paths import Paths


class CheckpointShelf:
    """All checkpoints that a user can choose from. Any thread may ask.

    Args:
        flags: `--ckpt` may name a file that lies elsewhere.
        hashes: of files, as far as they are known.
    """

    def __init__(self, paths: Paths, flags: Flags, hashes: HashCache):
        self._paths = paths
        self._flags = flags
        self._hashes = hashes
        self._advice: dict[Path, tuple[int, Advice]] = {}

    def all(self) -> list[Checkpoint]:
        """Those in the folders, looked up afresh; titles carry a hash as soon as it is known."""
        found = find_checkpoints(self._paths.checkpoint_folders, self._hashes)
        first = self._flags.ckpt
        if first and first.exists() and first.resolve() not in {checkpoint.path.resolve() for checkpoint in found}:
            sha256 = self._hashes.known([first]) if first.is_file() else None
            found.insert(0, Checkpoint(first, first.name, sha256 or ""))
        return found

    def find(self, title: str) -> Checkpoint:
        """The one that a title, file name or hash means.

        Raises:
            ParameterError: no checkpoint is called so.
        """
        checkpoint = choose(self.all(), title)
        if checkpoint is None:
            raise ParameterError("checkpoint", f"There is no checkpoint “{title}”: press refresh, or choose another.")
        return checkpoint

    def first(self, wanted: str, notice: Callable[[str], object]) -> Checkpoint:
        """The one to start with: named by `--ckpt`, else the wanted one, else the first that looks right.

        Args:
            wanted: title of the one used last; empty: none.
            notice: gets a sentence about each file that was passed over.

        Raises:
            ModelMissing: there is none, or none that can be used.
        """
        checkpoints = self.all()
        if not checkpoints:
            folder = self._paths.checkpoint_folders[0]
            raise ModelMissing(f"There is no model: put a .safetensors file into {folder.name}, then press refresh.")
        wanted = str(self._flags.ckpt or wanted)
        found = choose(checkpoints, wanted) if wanted else None
        if found:
            return found
        faults: list[str] = []
        for checkpoint in checkpoints:
            fault = _fault(checkpoint)
            if not fault:
                if wanted:
                    notice(f"The checkpoint “{wanted}” is not there any more: {checkpoint.name} is used.")
                return checkpoint
            faults.append(fault)
            notice(fault)
        raise ModelMissing("None of the checkpoints can be used: " + " ".join(faults))

    def advice(self, checkpoint: Checkpoint) -> Advice:
        """What suits a checkpoint, by its header: read once, as long as the file stays the same.

        Raises:
            FileFormatError: it cannot be loaded; the sentence says why.
        """
        from modules.model.loader import judge  # brings torch
        from modules.model.prediction import side_file_prediction

        path = checkpoint.path
        stamp = path.stat().st_mtime_ns if path.exists() else 0
        known = self._advice.get(path)
        if known is None or known[0] != stamp:
            architecture = judge(path)
            told = architecture.prediction_type or side_file_prediction(path)
            known = self._advice[path] = (stamp, Advice(architecture.size(told), dict(architecture.recommended)))
        return known[1]

    def learned(self, checkpoint: Checkpoint, advice: Advice) -> None:
        """Remember what suits a checkpoint that was loaded: some say only then what they predict."""
        if checkpoint.path.exists():
            self._advice[checkpoint.path] = (checkpoint.path.stat().st_mtime_ns, advice)

    def hashed(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint with its hash, which takes seconds for gigabytes if it is not known yet.

        Raises:
            OSError: the file cannot be read.
        """
        return ensure_hash(checkpoint, self._hashes)

    def hash_all(self) -> Work:
        """Compute every hash that is not known yet."""
        unknown = [checkpoint for checkpoint in self.all() if not checkpoint.sha256]
        for number, checkpoint in enumerate(unknown):
            request = yield Progressed(number, len(unknown), checkpoint.name)
            if request is Request.INTERRUPT:
                return
            try:
                self.hashed(checkpoint)
            except OSError as error:
                yield Noticed(f"{checkpoint.name} cannot be read: {error.strerror}.")


def _fault(checkpoint: Checkpoint) -> str:
    """What the header of a file that nobody asked for says against its being a model; empty: nothing."""
    from modules.model.loader import judge  # brings torch

    try:
        judge(checkpoint.path)
    except WebuiError as error:
        return str(error)
    return ""
