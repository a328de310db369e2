"""Every error that a user may meet, each with one sentence: what, where, what to do.

WebuiError
├── ParameterError(field)       a value of a form, a request or a flag
├── SettingsError               the settings file or one of its values
├── FileFormatError             a file that is not what its reader needs
│   ├── CheckpointError         … as a Stable Diffusion model
│   ├── EmbeddingError          … as a textual-inversion embedding
│   └── UpscalerError           … as an upscaling model
├── ImageError                  a picture that cannot be opened or is too large
├── StorageError                a full, read-only or vanished disk
├── DownloadError               something that could not be fetched
├── OutOfMemory                 device or main memory
├── DatasetError                a folder of photos that cannot be learned from
├── TrainingDiverged(step)      vectors that ran away, again and again
├── ModelMissing                nothing is loaded that could do the work
├── JobBusy                     work that cannot be taken now
│   └── QueueFull               … because too much is waiting
└── NumericalError              NaN or infinity where a picture should be

Front ends translate once: beside the control, as 4xx JSON, or as exit code 2. Anything that is not a
WebuiError is our own mistake: it is logged with its traceback, and the user sees its log id.
"""


class WebuiError(Exception):
    """Base of all errors with a message written for the user."""


class ParameterError(WebuiError):
    """A value that cannot be used.

    Args:
        field: name of the field in its dataclass (`cfg_scale`), so that a front end can point at the control.
        message: one sentence naming the value, the allowed range and what to do.
    """

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


class SettingsError(WebuiError):
    """The settings file cannot be read, or a setting has no such value."""


class FileFormatError(WebuiError):
    """A file is damaged, unsafe, or of another kind than its reader needs."""


class CheckpointError(FileFormatError):
    """A file that cannot be used as a Stable Diffusion checkpoint: names what was found and what is needed."""


class EmbeddingError(FileFormatError):
    """A file that cannot be used as an embedding, or an embedding that does not fit the model."""


class UpscalerError(FileFormatError):
    """A file that cannot be used as an upscaling model."""


class ImageError(WebuiError):
    """A picture that cannot be opened, or that is larger than the limit."""


class StorageError(WebuiError):
    """Nothing could be written: disk full, read-only, or the folder has gone. Old files are intact."""


class DownloadError(WebuiError):
    """Something could not be fetched: no network, or not what was asked for."""


class OutOfMemory(WebuiError):
    """The device or the machine has too little memory for this size and batch."""


class DatasetError(WebuiError):
    """A folder of photos that cannot be used: nothing in it can be opened."""


class TrainingDiverged(WebuiError):
    """Loss, gradient or vectors became NaN, infinite or far too large, also at lower learning rates.

    Args:
        step: the step that could not be done.
        problem: which of them did, as the part of a sentence: “the loss is nan”.
        learning_rate: the lowest rate that was tried.
    """

    def __init__(self, step: int, problem: str, learning_rate: float):
        super().__init__(
            f"Training diverged at step {step}, at a learning rate of {learning_rate:.2g} too: {problem}. "
            "Train again with a lower rate or gradient clipping."
        )
        self.step = step
        self.learning_rate = learning_rate


class ModelMissing(WebuiError):
    """No model is loaded, so nothing can be drawn."""


class JobBusy(WebuiError):
    """The work was not accepted: something else has to end first."""


class QueueFull(JobBusy):
    """Too many jobs wait already, or the server is stopping."""


class NumericalError(WebuiError):
    """The model answered with NaN or infinity."""


def is_out_of_memory(error: BaseException) -> bool:
    """Python's, ours, and torch's on any device, told by its words: this module does not import torch."""
    if isinstance(error, (MemoryError, OutOfMemory)):
        return True
    words = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in words)
